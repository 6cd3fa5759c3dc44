// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// broken is a line, or a value of several lines, that is no TOML.
type broken struct {
	at      position
	message string
	keys    []*key // what it may have set; none: nobody knows
	header  bool   // a [header]: the keys below it are told one by one
}

// unreadableTable takes the place of a [header] that is no TOML, so that the
// keys below it are not taken for the table above.
const unreadableTable = "\x00unreadable"

// mend takes lines out until text is TOML, and tells which. The lines keep
// their numbers.
func mend(text []byte) ([]byte, []broken) {
	var list []broken
	for {
		err := wrong(text)
		if err == nil {
			return text, list
		}
		if err.at.line == 0 || len(list) == MaxProblems-1 {
			return nil, append(list, broken{message: "the file is no TOML: " + bounded(err.message)})
		}
		b := broken{at: err.at, message: "this is no TOML: " + bounded(err.message)}
		text = takeOut(text, err.at.line, &b, len(list))
		list = append(list, b)
	}
}

// takeOut returns text without what is broken at the line row, the n-th of
// the file, and fills in what that was.
func takeOut(text []byte, row int, b *broken, n int) []byte {
	lines := bytes.Split(text, []byte("\n"))
	first := min(row, len(lines)) - 1
	last := first
	if unfinished(lines[:first]) {
		first, last = openValue(lines, first)
		if row > last+1 {
			b.at = position{first + 1, 1}
		}
	} else if !startsKey(lines, first) {
		b.header = bytes.HasPrefix(bytes.TrimSpace(lines[first]), []byte("["))
	}
	for i := first; i <= last; i++ {
		if name, ok := leftSide(lines[i]); ok {
			if k := find(inTable(lines[:i], name)); k != nil {
				b.keys = append(b.keys, k)
			}
		}
	}
	for i := first; i <= last; i++ {
		lines[i] = nil
	}
	if b.header {
		lines[first] = fmt.Appendf(nil, `["\u0000unreadable".t%d]`, n)
	}
	return bytes.Join(lines, []byte("\n"))
}

// maxSearch is how many lines openValue looks at above the broken one.
const maxSearch = 200

// openValue returns the first and last line of the list or string that began
// above the line row and broke there. A following [header] or key is not part
// of it, what is left of a list is.
func openValue(lines [][]byte, row int) (first, last int) {
	first = row - 1
	for ; first > max(0, row-maxSearch); first-- {
		if _, ok := leftSide(lines[first]); ok && !unfinished(lines[:first]) {
			break
		}
	}
	ends := func(i int) bool {
		return i == len(lines) || startsKey(lines, i) || bytes.HasPrefix(bytes.TrimSpace(lines[i]), []byte("["))
	}
	for last = first; !ends(last + 1); {
		last++
		if last >= row && bytes.HasSuffix(bytes.TrimSpace(lines[last]), []byte("]")) {
			break
		}
	}
	return first, last
}

// unfinished tells whether lines end within a value.
func unfinished(lines [][]byte) bool {
	return wrong(bytes.Join(lines, []byte("\n"))) != nil
}

// startsKey tells whether the line i sets a key that exists.
func startsKey(lines [][]byte, i int) bool {
	name, ok := leftSide(lines[i])
	return ok && find(inTable(lines[:i], name)) != nil
}

// inTable is the full name of the key name in a line below above.
func inTable(above [][]byte, name string) string {
	return strings.TrimPrefix(tableBefore(above)+"."+name, ".")
}

// leftSide returns the key to the left of the first equals sign.
func leftSide(line []byte) (string, bool) {
	left, _, ok := bytes.Cut(line, []byte("="))
	if !ok || len(left) > 80 {
		return "", false
	}
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\"'", r) {
			return -1
		}
		return r
	}, string(left))
	return name, name != "" && !strings.HasPrefix(name, "#")
}

// tableBefore returns the [table] in force after lines.
func tableBefore(lines [][]byte) string {
	for _, line := range slices.Backward(lines) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "[")
		if !ok {
			continue
		}
		if name, _, ok := strings.Cut(rest, "]"); ok && !strings.Contains(name, ",") {
			return strings.TrimSpace(name)
		}
	}
	return ""
}
