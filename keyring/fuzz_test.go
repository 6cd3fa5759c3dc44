// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"bytes"
	"os"
	"slices"
	"testing"
)

// FuzzCheck: nothing makes Check panic; and whatever it takes for a keyring is
// still one with other line ends, and no longer one as soon as a command for a
// shell stands above or below it.
func FuzzCheck(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Check(text, Rules{}); err != nil {
			return
		}
		windows := bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		if _, err := Check(windows, Rules{}); err != nil && len(windows) < 1<<20 {
			t.Errorf("not with CRLF: %v", err)
		}
		for _, command := range []string{"reboot\n", "#!/bin/sh\n", "  cp a /b\n", "X=1 halt\n", "(reboot)\n", "\treboot\n", "}\n"} {
			if CheckText(append([]byte(command), text...)) == nil {
				t.Errorf("%q may stand above", command)
			}
			if CheckText(slices.Concat(text, []byte("\n"+command))) == nil {
				t.Errorf("%q may stand below", command)
			}
		}
	})
}

// seeds are all samples.
func seeds(tb testing.TB) [][]byte {
	cert, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		tb.Fatal(err)
	}
	list := [][]byte{cert}
	for _, kind := range []string{"accept", "refuse"} {
		for _, text := range samples(tb, kind) {
			list = append(list, text)
		}
	}
	return list
}

func TestFuzzCheckHasSeeds(t *testing.T) {
	if len(seeds(t)) < 40 {
		t.Error("FuzzCheck lost its seeds")
	}
}
