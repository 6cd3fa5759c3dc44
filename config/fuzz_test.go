// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
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
	names, err := filepath.Glob("testdata/seeds/*.toml")
	if err != nil || len(names) == 0 {
		tb.Fatalf("no seeds in testdata/seeds: %v", err)
	}
	list := [][]byte{[]byte(Example()), []byte(uncommented())}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, text)
	}
	return list
}

func TestFuzzConfigHasSeeds(t *testing.T) {
	if len(seeds(t)) < 8 {
		t.Error("FuzzConfig lost its seeds")
	}
}
