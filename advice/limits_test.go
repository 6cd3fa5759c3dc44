// SPDX-License-Identifier: GPL-3.0-or-later

package advice

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"usbagent/test/need"
)

// found reports whether a finding says so.
func found(t *testing.T, stick fstest.MapFS, message string) bool {
	t.Helper()
	findings, err := Look(stick, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if strings.Contains(f.Message, message) {
			return true
		}
	}
	return false
}

// TestMaxNames: the last name that is looked at lies in a folder; one name more
// before it, and it is not looked at.
func TestMaxNames(t *testing.T) {
	stick := tree("z/autorun.sh", goodScript) // with "." and "z": three names
	for i := range MaxNames - 3 {
		stick[fmt.Sprintf("%06d.jpg", i)] = &fstest.MapFile{}
	}
	if !found(t, stick, "lies in a folder") {
		t.Error("as many names as allowed: the last is not looked at")
	}
	stick["one more"] = &fstest.MapFile{}
	if found(t, stick, "lies in a folder") {
		t.Error("more names than allowed are looked at")
	}
}

// TestMaxDepth: a folder as deep as it goes, and one deeper.
func TestMaxDepth(t *testing.T) {
	if name := strings.Repeat("d/", MaxDepth) + "autorun.sh"; !found(t, tree(name, goodScript), "lies in a folder") {
		t.Errorf("%s is not looked at", name)
	}
	if name := strings.Repeat("d/", MaxDepth+1) + "autorun.sh"; found(t, tree(name, goodScript), "lies in a folder") {
		t.Errorf("%s is looked at", name)
	}
}

// TestMaxScript: a script that is longer is not given to a shell.
func TestMaxScript(t *testing.T) {
	need.Tool(t, "sh")
	script := "#!/bin/sh\nif true; then\n#"
	script += strings.Repeat("x", MaxScript-len(script))
	if !found(t, tree("autorun.sh", script), "a shell cannot read it") {
		t.Error("a script of exactly MaxScript is not looked at")
	}
	if found(t, tree("autorun.sh", script+"x"), "a shell cannot read it") {
		t.Error("a longer one is looked at")
	}
}
