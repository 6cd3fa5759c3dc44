// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Package booted boots a real systemd for a test, within two seconds: this
// machine's own, as process 1 of a container over a throw-away layer on this
// machine's root file system. Nothing the test does inside is seen outside,
// but the directory Shared. There is no udev, no network and no device but the
// usual null and zero; block devices are the emulated board's business.
package booted

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"usbagent/test/need"
)

//go:embed boot.sh
var script []byte

// Program is the path inside of the test binary that called Boot.
const Program = "/opt/test"

// target is what is booted; its text may be extended by the unit of that name.
const target = "usbagent-test.target"

// Machine is a booted container.
type Machine struct {
	// Shared is the directory outside that is /shared inside.
	Shared string

	// Done is closed when the container has shut down.
	Done <-chan struct{}

	pid int // of process 1, seen from outside
}

// Boot boots a container with the given unit files (name to text) in
// /run/systemd/system and waits until it runs. It ends with the test.
func Boot(t testing.TB, units map[string]string) *Machine {
	t.Helper()
	need.Root(t)
	for _, tool := range []string{"/lib/systemd/systemd", "unshare", "nsenter"} {
		need.Tool(t, tool)
	}
	m := &Machine{Shared: t.TempDir()}
	room, files := t.TempDir(), map[string]string{target: "[Unit]\nRequires=basic.target\nAfter=basic.target\n"}
	for name, text := range units {
		files[name] = text
	}
	for name, text := range files {
		m.write(t, filepath.Join(m.Shared, "units", name), text)
	}
	m.write(t, filepath.Join(m.Shared, "boot.sh"), string(script))
	log, err := os.Create(filepath.Join(m.Shared, "console"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("unshare", "--mount", "sh", filepath.Join(m.Shared, "boot.sh"), room, m.Shared, "/proc/self/exe")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args[len(cmd.Args)-1] = self
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	m.Done = done
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() { m.kill(t) })
	m.await(t, cmd.Process.Pid)
	return m
}

// await waits until process 1 says that the system runs.
func (m *Machine) await(t testing.TB, child int) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		select {
		case <-m.Done:
			t.Fatalf("the container did not boot:\n%s", m.console())
		default:
		}
		if m.pid = process1(child); m.pid == 0 {
			continue
		}
		state, _ := m.Command("systemctl", "is-system-running").Output()
		if s := strings.TrimSpace(string(state)); s == "running" || s == "degraded" {
			return
		}
	}
	t.Fatalf("the container did not boot within 60 s:\n%s", m.console())
}

func (m *Machine) console() string {
	text, _ := os.ReadFile(filepath.Join(m.Shared, "console"))
	return string(text)
}

func (m *Machine) kill(t testing.TB) {
	if m.pid > 0 {
		select {
		case <-m.Done:
		default:
			if p, err := os.FindProcess(m.pid); err == nil {
				p.Kill()
			}
		}
	}
	select {
	case <-m.Done:
	case <-time.After(10 * time.Second):
		t.Errorf("the container does not end")
	}
}

// process1 returns the descendant of the process pid that is number 1 in its
// own namespace, or 0.
func process1(pid int) int {
	stats, _ := filepath.Glob("/proc/[0-9]*/status")
	children := map[int][]int{}
	first := map[int]bool{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		for line := range strings.Lines(string(text)) {
			if parent, ok := strings.CutPrefix(line, "PPid:"); ok {
				n, _ := strconv.Atoi(strings.TrimSpace(parent))
				children[n] = append(children[n], child)
			}
			if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
				all := strings.Fields(ids)
				first[child] = len(all) > 1 && all[len(all)-1] == "1"
			}
		}
	}
	for line := []int{pid}; len(line) > 0; line = line[1:] {
		if first[line[0]] {
			return line[0]
		}
		line = append(line, children[line[0]]...)
	}
	return 0
}

// Journal returns the last lines of the journal, also when the container has ended.
func (m *Machine) Journal(t testing.TB) string {
	t.Helper()
	out, err := exec.Command(need.Tool(t, "journalctl"), "-D", filepath.Join(m.Shared, "journal"), "--no-pager", "-n", "300", "-o", "short-precise").CombinedOutput()
	if err != nil {
		t.Errorf("journal of the container: %v", err)
	}
	return string(out)
}

// Command is a command that runs inside, with the environment of the test.
func (m *Machine) Command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(m.pid), "-m", "-p", "-u", "-i", "-n", "-C", "--"}, args...)...)
}

// Run runs a command inside and returns its output; it must end well.
func (m *Machine) Run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := m.Command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q in the container: %v\n%s", args, err, out)
	}
	return string(out)
}

// Path is the path outside of the file that is path inside.
func (m *Machine) Path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(m.pid), "root", path)
}

// WriteFile writes an executable file inside, and its directory where it is missing.
func (m *Machine) WriteFile(t testing.TB, path, text string) {
	t.Helper()
	m.write(t, m.Path(path), text)
}

func (m *Machine) write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
