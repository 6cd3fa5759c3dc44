// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"usbagent/test/need"
)

// build makes what "make demo" runs, in a directory of its own, and returns
// that directory.
func build(t *testing.T) string {
	t.Helper()
	need.Root(t)
	need.RAUC(t)
	for _, tool := range []string{"openssl", "mke2fs", "losetup"} {
		need.Tool(t, tool)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, pkg := range map[string]string{"usbagent": "usbagent/cmd/usbagent", "usbagent-demo": "usbagent/test/demo"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "build", name), pkg).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return dir
}

// demonstration is the program, to be run in dir.
func demonstration(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "build/usbagent-demo"))
	cmd.Dir = dir
	return cmd
}

// TestDemo runs "make demo" and reads what a person would.
func TestDemo(t *testing.T) {
	dir := build(t)
	began := time.Now()
	out, err := demonstration(t, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("took %v", time.Since(began))
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %v, more than a minute", took)
	}
	text := string(out)
	for _, want := range []string{
		`keyring: etc/rauc/keyring.pem is a link to vendor-ca.pem, trusts "Vendor CA"`,
		`LED      on`,
		`ext4 mounted read-only`,
		`keyring  done     fwupdate-keyring.pem`,
		`script   this is autorun.sh in `,
		`image handed to the installer`,
		`LED      blinking, 250 ms on, 250 ms off`,
		`the agent asks logind to reboot`,
		`keyring: etc/rauc/keyring.pem is a regular file, trusts "Customer CA"`,
		`slot B:  holds the new system, byte for byte`,
		`already installed`,
		`already executed`,
		`autorun  refused  autorun.sh`,
		`LED:     4 flashes`,
		`pulled; LED: off`,
		`No mount, loop device or process is left`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the reader does not see %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	clean(t, dir)
}

// TestInterruptedDemoCleansUp presses Ctrl-C in several chapters.
func TestInterruptedDemoCleansUp(t *testing.T) {
	dir := build(t)
	for _, moment := range []string{"booted from slot A", "stick    plugged in", "script   goodbye", "image handed", "The same stick a second time"} {
		t.Run(moment, func(t *testing.T) {
			cmd := demonstration(t, dir)
			output, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var complaint bytes.Buffer
			cmd.Stderr = &complaint
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pressed := false
			for lines := bufio.NewScanner(output); lines.Scan(); {
				if !pressed && strings.Contains(lines.Text(), moment) {
					pressed = true
					cmd.Process.Signal(syscall.SIGINT)
				}
			}
			if err := cmd.Wait(); err == nil || !pressed || !strings.Contains(complaint.String(), "demo: interrupted") {
				t.Errorf("pressed %v, %v: %s", pressed, err, &complaint)
			}
			clean(t, dir)
		})
	}
}

// clean fails the test where something outside dir was left.
func clean(t *testing.T, dir string) {
	t.Helper()
	if err := leftovers(context.Background(), dir); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if bytes.Contains(line, []byte(dir+"/")) {
			t.Errorf("process %s is left: %s", e.Name(), bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
}
