// SPDX-License-Identifier: GPL-3.0-or-later

package advice

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"usbagent/test/need"
)

// found reports whether a finding says so.
func found(t *testing.T, stick fs.FS, message string) bool {
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

// TestMaxFAT: the largest image that FAT holds, and one byte more.
func TestMaxFAT(t *testing.T) {
	dir := t.TempDir()
	for size, told := range map[int64]bool{maxFAT: false, maxFAT + 1: true} {
		path := filepath.Join(dir, "a.image")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if got := found(t, os.DirFS(dir), "larger than 4 GiB"); got != told {
			t.Errorf("%d bytes: told %v", size, got)
		}
	}
}
