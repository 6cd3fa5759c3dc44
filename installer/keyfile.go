// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bytes"
	"fmt"
	"strings"
)

// Limits of RAUC's two key files, manifest and system.conf.
const (
	// MaxManifestSize is the largest manifest, in bytes (RAUC's own limit for
	// a whole CMS is 64 KiB).
	MaxManifestSize = 256 << 10
	// MaxSystemConfSize is the largest system.conf, in bytes.
	MaxSystemConfSize = 256 << 10
	// MaxKeyFileLine is the longest line of either, in bytes.
	MaxKeyFileLine = 16 << 10
	// MaxKeyFileGroups is the largest number of groups of either.
	MaxKeyFileGroups = 256
)

// keyFile is a file in the form of GLib's GKeyFile: groups in the order they
// first appear, each with its last value for a key.
type keyFile struct {
	groups []string
	values map[string]map[string]string
}

func (f *keyFile) value(group, key string) string { return f.values[group][key] }

// parseKeyFile reads groups, `key=value` lines, comments and blank lines.
// Like GLib it refuses anything else, and merges a group that comes twice.
func parseKeyFile(text []byte, limit int) (*keyFile, error) {
	if len(text) > limit {
		return nil, fmt.Errorf("%d bytes are more than %d", len(text), limit)
	}
	f := &keyFile{values: map[string]map[string]string{}}
	group, number := "", 0
	for line := range bytes.Lines(text) {
		number++
		if len(line) > MaxKeyFileLine {
			return nil, fmt.Errorf("line %d is longer than %d bytes", number, MaxKeyFileLine)
		}
		next, err := f.line(group, string(bytes.TrimSpace(line)))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		group = next
	}
	return f, nil
}

// line takes in one line of group and returns the group of the next.
func (f *keyFile) line(group, line string) (string, error) {
	if line == "" || line[0] == '#' {
		return group, nil
	}
	if line[0] == '[' {
		name, ok := strings.CutSuffix(line[1:], "]")
		if !ok || name == "" || strings.ContainsAny(name, "[]") {
			return "", fmt.Errorf("broken group header %.60q", line)
		}
		return name, f.group(name)
	}
	key, value, ok := strings.Cut(line, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" || group == "" {
		return "", fmt.Errorf("%.60q is no key of a group", line)
	}
	f.values[group][key] = unescape(strings.TrimSpace(value))
	return group, nil
}

func (f *keyFile) group(name string) error {
	if f.values[name] != nil {
		return nil
	}
	if len(f.groups) == MaxKeyFileGroups {
		return fmt.Errorf("more than %d groups", MaxKeyFileGroups)
	}
	f.groups = append(f.groups, name)
	f.values[name] = map[string]string{}
	return nil
}

// escapes are those of the Desktop Entry Specification, which GLib decodes.
var escapes = strings.NewReplacer(`\s`, " ", `\n`, "\n", `\t`, "\t", `\r`, "\r", `\\`, `\`)

func unescape(value string) string {
	if !strings.Contains(value, `\`) {
		return value
	}
	return escapes.Replace(value)
}
