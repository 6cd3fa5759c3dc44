// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxAttribute is the size of a sysfs attribute: one page.
const maxAttribute = 4096

// sectorBytes is the unit of every size in sysfs, whatever the device's own
// block size (Documentation/ABI/stable/sysfs-block).
const sectorBytes = 512

var errAttribute = errors.New("unexpected value")

// dir is a directory of sysfs.
type dir string

// join does not look at the path as filepath.Join does, which takes longer than
// the kernel takes to open it.
func (d dir) join(name string) dir { return d + "/" + dir(name) }

// raw reads an attribute without its final newline.
func (d dir) raw(name string) (string, error) {
	text, err := readAttribute(string(d.join(name)))
	if err != nil {
		return "", err
	}
	if len(text) > maxAttribute {
		return "", fmt.Errorf("%s: %w: more than %d bytes", d.join(name), errAttribute, maxAttribute)
	}
	return strings.TrimSuffix(text, "\n"), nil
}

// has reports whether the directory has an entry of this name.
func (d dir) has(name string) bool {
	_, err := os.Lstat(string(d.join(name)))
	return err == nil
}

// number reads an attribute that is a decimal number below limit.
func (d dir) number(name string, limit uint64) (uint64, error) {
	text, err := d.raw(name)
	if err != nil {
		return 0, err
	}
	n, err := parseNumber(text, limit)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", d.join(name), err)
	}
	return n, nil
}

// optional is number for an attribute that older kernels or other drivers do
// not have: then it is 0.
func (d dir) optional(name string, limit uint64) (uint64, error) {
	n, err := d.number(name, limit)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	return n, err
}

// bytes reads an attribute that counts sectors.
func (d dir) bytes(name string) (int64, error) {
	n, err := d.number(name, math.MaxInt64/sectorBytes+1)
	return int64(n) * sectorBytes, err
}

// text reads a string that the device chose: trimmed, valid UTF-8, at most
// MaxText bytes. It is empty when it cannot be read.
func (d dir) text(name string) string {
	text, err := d.raw(name)
	if err != nil {
		return ""
	}
	return boundText(text)
}

// subsystem returns the name of the device's subsystem, empty for a directory
// that is no device.
func (d dir) subsystem() string {
	target, err := os.Readlink(string(d.join("subsystem")))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

// parseNumber is strict: digits only, below limit.
func parseNumber(text string, limit uint64) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n >= limit {
		return 0, fmt.Errorf("%w %.32q", errAttribute, text)
	}
	return n, nil
}

// parseDev takes apart the dev attribute, "8:17".
func parseDev(text string) (major, minor uint32, err error) {
	a, b, _ := strings.Cut(text, ":")
	x, errA := parseNumber(a, 1<<12) // 12 bits of major and 20 of minor: include/linux/kdev_t.h
	y, errB := parseNumber(b, 1<<20)
	return uint32(x), uint32(y), errors.Join(errA, errB)
}

// boundText makes a device's string fit for keeping, not for a terminal.
func boundText(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(strings.TrimRight(text, "\x00")), "\uFFFD")
	if len(text) <= MaxText {
		return text
	}
	cut := MaxText
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}
