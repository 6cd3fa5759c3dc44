// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"strconv"
	"strings"
)

// plain makes text that may hold names and labels of a stick harmless for a
// terminal: everything but printable characters, line ends and tabs is shown
// as Go would escape it (a terminal escape as \x1b, a right-to-left override
// as \u202e, a broken byte as \xff).
func plain(text string) string {
	return escape(text, func(r rune) bool { return strconv.IsPrint(r) || r == '\n' || r == '\t' })
}

// word is plain for text that must stay on its line.
func word(text string) string { return escape(text, strconv.IsPrint) }

// escape copies the runes that keep accepts and escapes all others.
func escape(text string, keep func(rune) bool) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '\uFFFD' && !strings.HasPrefix(text[i:], "\uFFFD"):
			b.WriteString(`\x` + strconv.FormatUint(uint64(text[i])|0x100, 16)[1:])
		case keep(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
