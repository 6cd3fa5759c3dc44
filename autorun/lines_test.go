// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func cut(chunks ...string) []string {
	var got []string
	l := lines{emit: func(s string) { got = append(got, s) }}
	for _, c := range chunks {
		l.write([]byte(c))
	}
	l.flush()
	return got
}

func TestLines(t *testing.T) {
	full := strings.Repeat("a", MaxLine)
	for _, c := range []struct {
		in   []string
		want []string
	}{
		{[]string{""}, nil},
		{[]string{"one\ntwo"}, []string{"one", "two"}},
		{[]string{"o", "ne\r\n", "\n", "two\n"}, []string{"one", "", "two"}},
		{[]string{full + "\n"}, []string{full}},
		{[]string{full, "\n"}, []string{full}},
		{[]string{full + "b\n"}, []string{full, "b"}},
		{[]string{full[1:] + "ä\n"}, []string{full[1:], "ä"}},
		{[]string{full[3:], "€", "€\n"}, []string{full[3:] + "€", "€"}},
		{[]string{"tab\tbell\a \x1b[31m \xff \u202e \U000e0001 ä\u00a0\n"}, []string{`tab` + "\t" + `bell\x07 \x1b[31m \xff \u202e \U000e0001 ä\u00a0`}},
	} {
		got := cut(c.in...)
		if strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
			t.Errorf("%.40q: %d lines %.60q, want %d %.60q", c.in, len(got), got, len(c.want), c.want)
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add("one\ntwo", 3)
	f.Add(strings.Repeat("ä", MaxLine), 7)
	f.Add("\x00\xff\r\n\x1b]0;title\a", 1)
	f.Fuzz(func(t *testing.T, text string, size int) {
		var chunks []string
		for rest := text; rest != ""; {
			n := min(len(rest), max(size, 1))
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		whole, parts := cut(text), cut(chunks...)
		if strings.Join(whole, "\n") != strings.Join(parts, "\n") {
			t.Errorf("cut otherwise when read in pieces")
		}
		for _, line := range whole {
			if !utf8.ValidString(line) || strings.ContainsAny(line, "\n\r\x00\x1b") || len(line) > 10*MaxLine {
				t.Errorf("line %q", line)
			}
		}
	})
}
