// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName bounds what SafeName returns, in bytes. With the number that makes
// it unique it stays far below the 255 bytes of a directory entry.
const MaxName = 64

// SafeName makes one harmless path component of a label: valid UTF-8 of at
// most MaxName bytes, neither empty nor beginning with a dot or a dash, with
// nothing in it but letters, digits, combining marks, spaces inside, and the
// signs . _ - + @ , = ( ) [ ]. What is not allowed becomes "_". So neither a
// path nor a shell, a log or a terminal can read more into it than a name.
//
// Where nothing of the label is left, fallback (the device's name) is made safe
// in its place; where nothing is left of that either, the name is "stick".
func SafeName(label, fallback string) string {
	for _, candidate := range []string{label, fallback} {
		if name := safe(candidate); strings.Trim(name, "_ ") != "" {
			return name
		}
	}
	return "stick"
}

func safe(label string) string {
	var b strings.Builder
	for _, r := range strings.TrimSpace(label) {
		switch {
		case r == utf8.RuneError || !safeRune(r):
			r = '_'
		case b.Len() == 0 && (r == '.' || r == '-'):
			r = '_'
		}
		if b.Len()+utf8.RuneLen(r) > MaxName {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), " .")
}

func safeRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Mn, r) ||
		strings.ContainsRune(" ._-+@,=()[]", r)
}

// numbered is the n-th candidate for a name that has to be unique: the name
// itself, then name-2, name-3 and so on.
func numbered(name string, n int) string {
	if n == 1 {
		return name
	}
	return name + "-" + strconv.Itoa(n)
}
