// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxBinarySize bounds the program for the board, stripped, in bytes: 6 MB.
// docs/performance.md says what keeps it below.
const maxBinarySize = 6_000_000

// TestBinaryForTheBoard looks at its size, and for what would let it grow most:
// reflection that looks methods up by names that the linker cannot know makes it
// keep every exported method there is, as text/template does.
func TestBinaryForTheBoard(t *testing.T) {
	program := filepath.Join(t.TempDir(), "usbagent")
	args := append([]string{"build"}, goFlags(t)...)
	cmd := exec.Command("go", append(args, "-ldflags=-s -w -R 4096 -dumpdep", "-o", program, ".")...)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm", "GOARM=7")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	edges := strings.Split(string(out), "\n")
	if len(edges) < 10_000 {
		t.Fatalf("the linker told only %d dependencies: nothing was looked at", len(edges))
	}
	for _, edge := range edges {
		if strings.Contains(edge, "<ReflectMethod>") {
			t.Errorf("the linker keeps all methods because of: %s", edge)
		}
	}
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > maxBinarySize {
		t.Errorf("the program has %d bytes, more than %d", info.Size(), maxBinarySize)
	}
}

// goFlags are the flags that every program is compiled with.
func goFlags(t *testing.T) []string {
	t.Helper()
	var flags []string
	for line := range strings.Lines(repository(t, "deploy/goflags")) {
		if strings.HasPrefix(line, "-") {
			flags = append(flags, strings.TrimSpace(line))
		}
	}
	if len(flags) < 3 {
		t.Fatalf("deploy/goflags has only %d flags", len(flags))
	}
	return flags
}
