// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"usbagent/test/corpus"
)

// FuzzConfig: no text makes the reader panic or hang, the result is always
// within bounds (written out, it passes the strict check and means the same),
// and the problems are bounded and name a line that exists.
func FuzzConfig(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, problems := read("c.toml", text)
		if len(problems) > MaxProblems {
			t.Fatalf("%d problems", len(problems))
		}
		lines := strings.Count(string(text), "\n") + 1
		for _, p := range problems {
			if p.Line > lines || strings.ContainsAny(p.String(), "\n\x00\x1b") || len(p.String()) > 4096 {
				t.Errorf("problem %q in %d lines", p, lines)
			}
		}
		var all strings.Builder
		for i := range keys {
			fmt.Fprintf(&all, "%s = %s\n", keys[i].name, keys[i].show(&got))
		}
		again, err := Check("again", []byte(all.String()))
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("out of bounds: %v\n%s", err, &all)
		}
	})
}

// seeds are the files of testdata/seeds and the example, which has every key.
func seeds(tb testing.TB) [][]byte {
	return append(corpus.Files(tb, "testdata/seeds/*.toml", 6), []byte(Example()), []byte(uncommented()))
}

func TestMaxListItems(t *testing.T) {
	pins := func(n int) []byte {
		pin := strings.Repeat("ab", 32)
		return []byte("[keyring]\nsigners = [" + strings.TrimSuffix(strings.Repeat(`"`+pin+`", `, n), ", ") + "]\n")
	}
	if c, err := Check("c.toml", pins(MaxListItems)); err != nil || len(c.Keyring.Signers) != MaxListItems {
		t.Errorf("%d pins, %v", len(c.Keyring.Signers), err)
	}
	if _, err := Check("c.toml", pins(MaxListItems+1)); err == nil || !strings.Contains(err.Error(), "65 items, not 0 to 64") {
		t.Errorf("one more: %v", err)
	}
}
