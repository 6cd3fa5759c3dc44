// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "testing"

func TestNamesFromAStickCannotDriveATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain.image":          "plain.image",
		"Prüfstück 1":          "Prüfstück 1",
		"\x1b[2Jgone":          `\x1b[2Jgone`,
		"a\r\nb":               `a\r\nb`,
		"exe\u202egpj":         `exe\u202egpj`,
		"bad\xff\xfebyte":      `bad\xff\xfebyte`,
		"a real \uFFFD stays":  "a real \uFFFD stays",
		"\u009b31mC1 controls": `\u009b31mC1 controls`,
	} {
		if got := word(in); got != want {
			t.Errorf("word(%q) = %q, want %q", in, got, want)
		}
	}
	if got, want := plain("two\n\tlines\x07"), "two\n\tlines\\a"; got != want {
		t.Errorf("plain: %q, want %q", got, want)
	}
}
