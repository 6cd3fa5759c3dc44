// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMaxKept: while no agent listens, the newest maxKept bytes of a script's
// output are kept.
func TestMaxKept(t *testing.T) {
	frame := func(line string) int { return len(string(rune(tagOutput)) + line + "\n") }
	line := strings.Repeat("x", 1024-frame(""))
	var tell teller
	tell.line("first" + line[len("first"):])
	for range maxKept/1024 - 1 {
		tell.line(line)
	}
	if tell.size != maxKept || !strings.Contains(tell.kept[0], "first") {
		t.Errorf("as many bytes as allowed: %d kept, the first line %.20q", tell.size, tell.kept[0])
	}
	tell.line("")
	if tell.size > maxKept || strings.Contains(tell.kept[0], "first") || tell.kept[len(tell.kept)-1] != string(rune(tagOutput))+"\n" {
		t.Errorf("one more: %d kept, the first line %.20q", tell.size, tell.kept[0])
	}
}

// TestMaxJSONSize: a record of the largest size, and a larger one.
func TestMaxJSONSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), recordFile)
	whole := strings.Repeat(" ", maxJSONSize-2) + "{}"
	for text, good := range map[string]bool{whole: true, " " + whole: false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var r record
		if err := readJSON(path, &r); (err == nil) != good {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}
