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

// TestNames: what is put into paths and units has no other characters.
func TestNames(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "Z-_.9": true, "-": true, strings.Repeat("a", 64): true,
		"": false, ".": false, "..": false, ".a": false, "a/b": false, "a b": false, "a\n": false, "a\x00": false, "ä": false, strings.Repeat("a", 65): false,
	} {
		if validID(id) != want {
			t.Errorf("validID(%q) = %v", id, !want)
		}
	}
	for name, want := range map[string]bool{
		"autorun.sh": true, "AutoRun.SH": true,
		"": false, "autorun": false, "autorun.sh ": false, "autorun_sh": false, "autorun.\u017fh": false, "x/autorun.sh": false,
	} {
		if validName(name) != want {
			t.Errorf("validName(%q) = %v", name, !want)
		}
	}
}
