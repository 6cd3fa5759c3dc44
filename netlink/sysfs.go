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

// dir is a directory of sysfs. Its attributes are found from a directory that is
// open where there is one: the kernel takes the longest for the many parts of a
// device's path.
type dir struct {
	path string

	base *opened // nil: none
	rel  string  // the way from base: empty, or with a slash at its end
}

// root reports whether nothing is above d.
func (d dir) root() bool { return d.up().path == d.path }

// name is the last part of the path.
func (d dir) name() string { return filepath.Base(d.path) }

// join does not look at the path as filepath.Join does, which takes longer than
// the kernel takes to open it.
func (d dir) join(name string) dir { return dir{d.path + "/" + name, d.base, d.rel + name + "/"} }

// up returns the directory that d is in, where no part of its path is a link.
func (d dir) up() dir { return dir{filepath.Dir(d.path), d.base, d.rel + "../"} }

// raw reads an attribute without its final newline.
func (d dir) raw(name string) (string, error) {
	text, err := d.read(name)
	if err != nil {
		return "", err
	}
	if len(text) > maxAttribute {
		return "", fmt.Errorf("%s: %w: more than %d bytes", d.join(name).path, errAttribute, maxAttribute)
	}
	return strings.TrimSuffix(text, "\n"), nil
}

// number reads an attribute that is a decimal number below limit.
func (d dir) number(name string, limit uint64) (uint64, error) {
	text, err := d.raw(name)
	if err != nil {
		return 0, err
	}
	n, err := parseNumber(text, limit)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", d.join(name).path, err)
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
	target, err := d.link("subsystem")
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
