// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usbagent/test/need"
)

func TestCommand(t *testing.T) {
	need.Tool(t, "sh")
	t.Setenv("SECRET", "of the agent")
	var lines []string
	path := "/media/a stick/$(touch x); 'q\".image"
	c := Command{Argv: []string{"sh", "-c", `printf '%s\n' "$0" "$1"; env; ls -l /proc/self/fd/0; ps -o pgid= -p $$; printf 'no newline'`, Placeholder, "x" + Placeholder + "y"},
		Output: func(line string) { lines = append(lines, line) }}
	if err := c.Install(t.Context(), path, InstallOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(lines, "\n")
	if lines[0] != path || lines[1] != "x"+path+"y" || lines[len(lines)-1] != "no newline" {
		t.Errorf("output: %q", lines)
	}
	if strings.Contains(text, "SECRET") || !strings.Contains(text, "/dev/null") || !strings.Contains(text, commandPath) {
		t.Errorf("environment or stdin: %s", text)
	}
}

func TestCommandFails(t *testing.T) {
	need.Tool(t, "sh")
	run := func(c Command) error { return c.Install(t.Context(), "/x", InstallOptions{}, nil) }
	err := run(Command{Argv: []string{"sh", "-c", "echo because; echo; exit 3"}})
	if err == nil || !strings.Contains(err.Error(), "exit status 3: because") {
		t.Errorf("status 3: %v", err)
	}
	if err := run(Command{Argv: []string{"/nonexistent/tool", Placeholder}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing program: %v", err)
	}
	for _, argv := range [][]string{nil, {""}} {
		if err := run(Command{Argv: argv}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("argv %q: %v", argv, err)
		}
	}
	err = Command{Argv: []string{"true"}}.Install(t.Context(), "/x", InstallOptions{ManifestHash: "1"}, nil)
	if !errors.Is(err, ErrCannotBind) {
		t.Errorf("bound: %v", err)
	}
}

// TestCommandTimeout: the whole process group ends, and a pipe that somebody
// holds open does not delay it for ever.
func TestCommandTimeout(t *testing.T) {
	need.Tool(t, "sh")
	alive := filepath.Join(t.TempDir(), "alive")
	c := Command{Argv: []string{"sh", "-c", "(sleep 2; touch " + alive + ") & sleep 60"}, Timeout: 300 * time.Millisecond}
	start := time.Now()
	err := c.Install(t.Context(), "/x", InstallOptions{}, nil)
	if !errors.Is(err, ErrStalled) || time.Since(start) > 10*time.Second {
		t.Errorf("Install = %v after %v, want ErrStalled (CommandTimeout)", err, time.Since(start))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.Install(ctx, "/x", InstallOptions{}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stopped: %v", err)
	}
	time.Sleep(2500 * time.Millisecond)
	if _, err := os.Stat(alive); err == nil {
		t.Error("a child of the command outlived it")
	}
}

func TestCommandLongLines(t *testing.T) {
	need.Tool(t, "head")
	longest, total := 0, 0
	c := Command{Argv: []string{"head", "-c", "1000000", "/dev/zero"}, Output: func(line string) {
		longest, total = max(longest, len(line)), total+len(line)
	}}
	if err := c.Install(t.Context(), "/x", InstallOptions{}, nil); err != nil || longest != MaxOutputLine || total != 1000000 {
		t.Errorf("longest line %d, %d bytes in all, %v; want MaxOutputLine and all", longest, total, err)
	}
}

func TestCommandRun(t *testing.T) {
	result, err := Run(t.Context(), Command{Argv: []string{"true"}}, Job{Path: "/x", Info: Info{Compatible: "any"}})
	if err != nil || result.Decision.Action != Install {
		t.Errorf("Run = %+v, %v", result, err)
	}
	if _, err := Run(t.Context(), None{}, Job{Path: "/x"}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("none: %v", err)
	}
}

// TestToolIsBounded: `rauc info` that writes without end, or never ends.
func TestToolIsBounded(t *testing.T) {
	need.Tool(t, "sh")
	dir := t.TempDir()
	tool := func(script string) *RAUC {
		path := filepath.Join(dir, "rauc")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		r := NewRAUC(RAUCOptions{Program: path, SystemConf: "/some/system.conf"})
		r.limits.tool = 5 * time.Second
		return r
	}
	const option = "require-manifest-hash"
	for text, want := range map[string]bool{
		"  --" + option + "=HASH": true, "  --progress": false, "": false,
		strings.Repeat("#", 32<<10-len("#!/bin/sh\n")-7) + option:     true, // across two reads
		strings.Repeat("#", MaxProgram-len("#!/bin/sh\n")-7) + option: false,
	} {
		if got := tool(text).BindsManifest(t.Context()); got != want {
			t.Errorf("BindsManifest = %v with a program of %d bytes", got, len(text))
		}
	}
	if NewRAUC(RAUCOptions{Program: filepath.Join(dir, "missing")}).BindsManifest(t.Context()) {
		t.Error("BindsManifest without a program")
	}
	if _, err := tool("exec cat /dev/zero").infoByTool(t.Context(), "/x"); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("endless output: %v, want MaxToolOutput", err)
	}
	r := tool("exec sleep 60")
	r.limits.tool = 200 * time.Millisecond
	if _, err := r.infoByTool(t.Context(), "/x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("endless: %v, want ToolTimeout", err)
	}
	if _, err := tool("echo 'trouble with the file' >&2; exit 1").infoByTool(t.Context(), "/x"); err == nil || !strings.Contains(err.Error(), "trouble with the file") {
		t.Errorf("failure: %v", err)
	}
	if _, err := tool("echo hello").infoByTool(t.Context(), "/x"); err == nil {
		t.Error("no JSON was accepted")
	}
	many := `{"compatible":"x","images":[` + strings.Repeat(`{"a":{}},`, MaxImages) + `{"a":{}}]}`
	if _, err := infoFromJSON([]byte(many)); err == nil {
		t.Error("more than MaxImages images were accepted")
	}
	info, err := tool(`[ "$*" = "--conf=/some/system.conf info --no-check-time --output-format=json /x" ] && echo '{"compatible":"c","version":null,"images":[{"rootfs":{"checksum":"AB","size":7}}]}'`).infoByTool(t.Context(), "/x")
	if err != nil || info.Compatible != "c" || info.Images[0] != (Image{Class: "rootfs", SHA256: "ab", Size: 7}) {
		t.Errorf("info = %+v, %v", info, err)
	}
}

// TestWithin compares with package bytes.
func TestWithin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	letters := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = 'a' + byte(r.IntN(3))
		}
		return b
	}
	found := 0
	for range 100_000 {
		buffer, text := letters(r.IntN(30)), letters(1+r.IntN(5))
		want := bytes.Contains(buffer, text)
		if want {
			found++
		}
		if got := within(buffer, string(text)); got != want {
			t.Fatalf("%q in %q: %v", text, buffer, got)
		}
	}
	if found < 10_000 || found > 90_000 {
		t.Errorf("%d of 100000 were found: a bad test", found)
	}
}
