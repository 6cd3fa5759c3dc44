// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// compressDocs puts the gzipped manual pages and the changelog beside the
// manual pages.
func (j job) compressDocs() error {
	for _, page := range []string{"usbagent.8", "usbagent.toml.5"} {
		text, err := os.ReadFile(filepath.Join(j.docs, page))
		if err != nil {
			return err
		}
		if err := writeGzip(filepath.Join(j.docs, page+".gz"), text); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(j.changelog)
	if err != nil {
		return err
	}
	debian, err := debianChangelog(string(text), debianVersion(j.version), j.maintainer, j.date())
	if err != nil {
		return fmt.Errorf("%s: %w", j.changelog, err)
	}
	return writeGzip(filepath.Join(j.docs, "changelog.gz"), []byte(debian))
}

// writeGzip compresses like "gzip -9n": no name and no date inside.
func writeGzip(path string, text []byte) error {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// debianVersion writes a version as the packages have it: a pre-release sorts
// before its release.
func debianVersion(version string) string {
	core, build, _ := strings.Cut(version, "+")
	if build != "" {
		build = "+" + build
	}
	return strings.Replace(core, "-", "~", 1) + build
}

// heading is "## 1.2.3 (2026-11-23)" or "## 1.2.3 (unreleased)".
var heading = regexp.MustCompile(`^## (\S+) \((\d{4}-\d{2}-\d{2}|unreleased)\)$`)

// debianChangelog turns CHANGELOG.md into a changelog as deb-changelog(5) has
// it. The newest entry is that of the version that is packed.
func debianChangelog(text, version, maintainer string, now time.Time) (string, error) {
	var out strings.Builder
	foot, item := "", ""
	flush := func() {
		if item != "" {
			out.WriteString(wrap("  * ", "    ", item))
		}
		item = ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		found := heading.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "## ") && found == nil:
			return "", fmt.Errorf("heading %q is not ## VERSION (DATE)", line)
		case found != nil:
			flush()
			entry, date := debianVersion(found[1]), now
			if foot == "" {
				entry = version
			}
			if found[2] != "unreleased" {
				date, _ = time.Parse(time.DateOnly, found[2])
			}
			fmt.Fprintf(&out, "%susbagent (%s) unstable; urgency=medium\n\n", foot, entry)
			foot = fmt.Sprintf("\n -- %s  %s\n\n", maintainer, date.Format(time.RFC1123Z))
		case foot == "":
		case strings.HasPrefix(line, "- "):
			flush()
			item = line[2:]
		case item != "":
			item += " " + line
		}
	}
	flush()
	if foot == "" {
		return "", fmt.Errorf("no version in it")
	}
	return out.String() + strings.TrimSuffix(foot, "\n"), nil
}

// wrap breaks text into lines of at most 76 columns, where its words allow.
func wrap(first, other, text string) string {
	var out strings.Builder
	line := first
	for i, word := range strings.Fields(text) {
		if i > 0 && len(line)+1+len(word) > 76 {
			out.WriteString(line + "\n")
			line = other + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	return out.String() + line + "\n"
}
