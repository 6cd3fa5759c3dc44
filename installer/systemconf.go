// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// DefaultSystemConf is where RAUC finds its configuration.
const DefaultSystemConf = "/etc/rauc/system.conf"

// SystemConf is what matters here of RAUC's configuration (RAUC reference
// manual, "System Configuration File").
type SystemConf struct {
	Compatible string
	Bootloader string // "uboot", "barebox", "grub", "efi", "custom", "noop"
	StatusFile string
	Keyring    string // path, made absolute from the configuration's directory by nobody: as written
	// Formats are the bundle formats that RAUC accepts.
	Formats []Format
	// KeepsPrimary is true where an installed system is not made the one
	// that boots next (activate-installed=false).
	KeepsPrimary bool
}

// Accepts reports whether RAUC takes bundles of the format f.
func (c SystemConf) Accepts(f Format) bool { return slices.Contains(c.Formats, f) }

// ReadSystemConf reads the configuration at path, or DefaultSystemConf.
func ReadSystemConf(path string) (SystemConf, error) {
	if path == "" {
		path = DefaultSystemConf
	}
	f, err := os.Open(path)
	if err != nil {
		return SystemConf{}, fmt.Errorf("read RAUC's configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxSystemConfSize+1))
	if err != nil {
		return SystemConf{}, fmt.Errorf("read RAUC's configuration %s: %w", path, err)
	}
	c, err := ParseSystemConf(text)
	if err != nil {
		return SystemConf{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseSystemConf reads the text of a RAUC system.conf.
func ParseSystemConf(text []byte) (SystemConf, error) {
	f, err := parseKeyFile(text, MaxSystemConfSize)
	if err != nil {
		return SystemConf{}, fmt.Errorf("parse RAUC's configuration: %w", err)
	}
	formats, err := bundleFormats(f.value("system", "bundle-formats"))
	if err != nil {
		return SystemConf{}, fmt.Errorf("parse RAUC's configuration: %w", err)
	}
	return SystemConf{
		Compatible:   f.value("system", "compatible"),
		Bootloader:   f.value("system", "bootloader"),
		StatusFile:   f.value("system", "statusfile"),
		Keyring:      f.value("keyring", "path"),
		Formats:      formats,
		KeepsPrimary: f.value("system", "activate-installed") == "false",
	}, nil
}

// bundleFormats reads the list of bundle-formats: either names, which replace
// the default (all), or +name and -name, which change it.
func bundleFormats(list string) ([]Format, error) {
	formats := []Format{Plain, Verity, Crypt}
	words := strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == '\t' || r == ';' })
	for i, word := range words {
		name, remove := strings.CutPrefix(word, "-")
		name, add := strings.CutPrefix(name, "+")
		if i == 0 && !remove && !add {
			formats = nil
		}
		f := Format(name)
		if f != Plain && f != Verity && f != Crypt {
			continue // a format of a newer version: nothing we could meet
		}
		formats = slices.DeleteFunc(formats, func(have Format) bool { return have == f })
		if !remove {
			formats = append(formats, f)
		}
	}
	if len(formats) == 0 {
		return nil, fmt.Errorf("bundle-formats %.60q leaves none", list)
	}
	return formats, nil
}
