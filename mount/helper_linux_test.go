// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"usbagent/internal/systembus"
	"usbagent/test/need"
)

// TestHelperIdentity: a process is known by its number and its start.
func TestHelperIdentity(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	start, err := startTime(cmd.Process.Pid)
	if err != nil || start == 0 {
		t.Fatalf("%d %v", start, err)
	}
	other := helper{cmd.Process.Pid, start + 1}
	other.kill()
	if err := other.end(); err != nil || other.alive() {
		t.Errorf("another process of that number: %v", err)
	}
	same := helper{cmd.Process.Pid, start}
	if !same.alive() {
		t.Error("it is not alive")
	}
	if err := (helper{}).end(); err != nil || (helper{}).alive() {
		t.Errorf("no process: %v", err)
	}
}

// TestScope asks a bus for a scope as systemd makes it. What systemd itself
// says to it, the emulated board proves.
func TestScope(t *testing.T) {
	need.Root(t)
	address := privateBus(t)
	manager, client := connect(t, address), dial(t, address)
	fake := &systemd{t: t}
	if err := manager.Export(fake, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"); err != nil {
		t.Fatal(err)
	}
	if _, err := manager.RequestName("org.freedesktop.systemd1", 0); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if err := startScope(t.Context(), client, cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if fake.name != scopeName(cmd.Process.Pid) || fake.pid != cmd.Process.Pid {
		t.Errorf("%+v", fake)
	}
}

// TestScopeTimeout: a service manager that never moves the process does not
// hold up the mount for longer than ScopeTimeout.
func TestScopeTimeout(t *testing.T) {
	need.Root(t)
	t.Parallel()
	address := privateBus(t)
	manager, client := connect(t, address), dial(t, address)
	if err := manager.Export(lazy{}, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"); err != nil {
		t.Fatal(err)
	}
	if _, err := manager.RequestName("org.freedesktop.systemd1", 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), ScopeTimeout)
	defer cancel()
	begun := time.Now()
	if err := startScope(ctx, client, os.Getpid()); err == nil || time.Since(begun) > ScopeTimeout+5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

// lazy says that it has begun, and does nothing.
type lazy struct{}

func (lazy) StartTransientUnit(string, string, []property, []auxiliary) (dbus.ObjectPath, *dbus.Error) {
	return "/org/freedesktop/systemd1/job/1", nil
}

// systemd moves a process into a control group with the name of the scope.
type systemd struct {
	t    *testing.T
	name string
	pid  int
}

// property is an element of StartTransientUnit's a(sv).
type property struct {
	Name  string
	Value dbus.Variant
}

type auxiliary struct {
	Name       string
	Properties []property
}

func (s *systemd) StartTransientUnit(name, mode string, properties []property, _ []auxiliary) (dbus.ObjectPath, *dbus.Error) {
	for _, p := range properties {
		if pids, ok := p.Value.Value().([]uint32); ok && p.Name == "PIDs" && len(pids) == 1 {
			s.pid = int(pids[0])
		}
	}
	s.name = name
	group := filepath.Join(hierarchy(s.t), name)
	if err := os.Mkdir(group, 0o755); err != nil {
		return "", dbus.MakeFailedError(err)
	}
	s.t.Cleanup(func() { os.Remove(group) })
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(fmt.Sprint(s.pid)), 0); err != nil || mode != "fail" {
		return "", dbus.MakeFailedError(err)
	}
	return "/org/freedesktop/systemd1/job/1", nil
}

// hierarchy is a control group file system in which a group can be made.
func hierarchy(t *testing.T) string {
	for _, dir := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup", "/sys/fs/cgroup/systemd"} {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			return dir
		}
	}
	need.Machine(t, "control groups, for a scope")
	return ""
}

// privateBus starts a dbus-daemon of this test's own.
func privateBus(t *testing.T) string {
	t.Helper()
	hierarchy(t)
	cmd := exec.Command(need.Tool(t, "dbus-daemon"), "--session", "--nofork", "--print-address", "--address=unix:dir="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// dial connects as ownScope does.
func dial(t *testing.T, address string) *systembus.Conn {
	t.Helper()
	c, err := systembus.Dial(t.Context(), address, systembus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func connect(t *testing.T, address string) *dbus.Conn {
	t.Helper()
	c, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
