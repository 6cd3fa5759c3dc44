// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLinkerLeavesOutUnusedMethods: reflection that looks methods up by names
// that the linker cannot know makes it keep every exported method there is;
// text/template does so, and with it cobra's own templates.
func TestLinkerLeavesOutUnusedMethods(t *testing.T) {
	out, err := buildForBoard(t, "-s -w -dumpdep").CombinedOutput()
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
}

// buildForBoard builds the program as the Makefile does, for the board.
func buildForBoard(t *testing.T, ldflags string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags="+ldflags, "-o", filepath.Join(t.TempDir(), "usbagent"), ".")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm", "GOARM=7")
	return cmd
}
