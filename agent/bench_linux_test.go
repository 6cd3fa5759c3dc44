// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/agent"
	"usbagent/test/need"
	"usbagent/test/raucbench"
)

// patience bounds every wait for a condition; these machines are slow and shared.
const patience = 90 * time.Second

// usbagent is the program under test, built once; with the race detector, where
// the tests have it, a race in the daemon ends it with status 66. withoutRace
// is the same for tests of what the daemon costs.
var (
	usbagent    = sync.OnceValues(func() (string, error) { return build(raceDetector) })
	withoutRace = sync.OnceValues(func() (string, error) { return build(false) })

	building sync.Mutex
	programs []string // the directories of what build made
)

func build(race bool) (string, error) {
	dir, err := os.MkdirTemp("", "usbagent-test-")
	if err != nil {
		return "", err
	}
	building.Lock()
	programs = append(programs, dir)
	building.Unlock()
	program := filepath.Join(dir, "usbagent")
	out, err := exec.Command("go", "build", fmt.Sprintf("-race=%v", race), "-o", program, "usbagent/cmd/usbagent").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return program, err
}

// The PKIs of all tests: the vendor's comes with the board, the customer's replaces it.
var vendor, customer *raucbench.PKI

func TestMain(m *testing.M) {
	code := func() int {
		dir, err := os.MkdirTemp("", "usbagent-pki-")
		if err == nil {
			defer os.RemoveAll(dir)
			vendor, err = raucbench.NewPKI(filepath.Join(dir, "vendor"), "Vendor")
		}
		if err == nil {
			customer, err = raucbench.NewPKI(filepath.Join(dir, "customer"), "Customer")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() {
			for _, dir := range programs {
				os.RemoveAll(dir)
			}
		}()
		return m.Run()
	}()
	os.Exit(code)
}

// bench is a board in a directory: what the daemon would find in /etc, /srv,
// /var, /run, /media and /sys, and sticks as loop devices.
type bench struct {
	t       *testing.T
	dir     string
	config  map[string]string // lines by "table.key"
	env     []string
	flags   []string
	program func() (string, error)
	under   []string // a command that runs the daemon as its own process, such as strace -D
	mkfs    []string // more arguments for mke2fs
	daemon  *exec.Cmd
	exited  chan error
	log     *os.File

	plugs    int
	inserted map[string]string // file by loop device
}

func newBench(t *testing.T) *bench {
	t.Helper()
	need.Root(t)
	need.Tool(t, "mke2fs")
	need.Tool(t, "openssl")
	dir, err := os.MkdirTemp("/var/tmp", "usbagent-bench-") // not on tmpfs, which the list must not lie on
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir, program: usbagent, inserted: make(map[string]string), config: map[string]string{
		"devices.allow":         `["loop"]`,
		"mount.root":            quote(dir + "/media"),
		"keyring.path":          quote(dir + "/etc/rauc/keyring.pem"),
		"autorun.executed_list": quote(dir + "/cache/executed.list"),
		"installer.backend":     `"none"`,
		"led.backend":           `"sysfs"`,
		"led.name":              `"yellow"`,
		"state.dir":             quote(dir + "/state"),
		"status.path":           quote(dir + "/run/status.json"),
		"log.level":             `"debug"`,
	}}
	b.flags = []string{"--run-dir", dir + "/run", "--root", dir + "/root", "--loop-files", dir + "/"}
	for _, d := range []string{"etc/rauc", "sticks", "root/sys/class/leds/yellow"} {
		b.must(os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	led := filepath.Join(dir, "root/sys/class/leds/yellow")
	for name, content := range map[string]string{"brightness": "0\n", "max_brightness": "255\n", "trigger": "[none] timer\n", "delay_on": "", "delay_off": ""} {
		b.must(os.WriteFile(filepath.Join(led, name), []byte(content), 0o644))
	}
	b.must(copyFile(vendor.Keyring, filepath.Join(dir, "etc/rauc/vendor.pem")))
	b.must(os.Symlink("vendor.pem", b.keyringPath()))
	t.Cleanup(b.clean)
	return b
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

func (b *bench) keyringPath() string { return filepath.Join(b.dir, "etc/rauc/keyring.pem") }

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// configFile writes the configuration and returns its path.
func (b *bench) configFile() string {
	var text bytes.Buffer
	for key, value := range b.config {
		fmt.Fprintf(&text, "%s = %s\n", key, value)
	}
	path := filepath.Join(b.dir, "config.toml")
	b.must(os.WriteFile(path, text.Bytes(), 0o644))
	return path
}

// start starts the daemon and waits until it is ready.
func (b *bench) start() {
	b.t.Helper()
	b.launch()
	b.wait("the daemon to be ready", func() bool {
		st, err := agent.ReadStatus(filepath.Join(b.dir, "run/status.json"))
		return err == nil && st.PID == b.daemon.Process.Pid
	})
}

// launch starts the daemon.
func (b *bench) launch() {
	b.t.Helper()
	program, err := b.program()
	b.must(err)
	b.log, err = os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	b.must(err)
	args := append(append(slices.Clone(b.under), program, "run", "--config", b.configFile()), b.flags...)
	b.daemon = exec.Command(args[0], args[1:]...)
	b.daemon.Env = append(append(os.Environ(), "GORACE=halt_on_error=1 atexit_sleep_ms=50"), b.env...)
	b.daemon.Stdout, b.daemon.Stderr = b.log, b.log
	b.must(b.daemon.Start())
	b.log.Close()
	b.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan error) { exited <- cmd.Wait() }(b.daemon, b.exited)
}

// stop sends a signal and returns how long the daemon took to end.
func (b *bench) stop(sig syscall.Signal) time.Duration {
	b.t.Helper()
	begun := time.Now()
	b.must(b.daemon.Process.Signal(sig))
	select {
	case <-b.exited:
	case <-time.After(patience):
		b.t.Fatalf("the daemon does not end after %v\n%s", sig, b.logText())
	}
	b.daemon = nil
	return time.Since(begun)
}

// clean ends what the test left, and fails it if that is what it should not.
func (b *bench) clean() {
	if b.daemon != nil {
		b.daemon.Process.Kill()
		<-b.exited
	}
	if b.t.Failed() {
		b.t.Logf("daemon's log:\n%s", b.logText())
	}
	for _, m := range b.mounts() {
		unix.Unmount(m, unix.MNT_DETACH)
	}
	for _, l := range b.loops() {
		exec.Command("partx", "-d", l).Run()
		exec.Command("losetup", "-d", l).Run()
	}
	os.RemoveAll(b.dir)
}

func (b *bench) logText() string {
	text, _ := os.ReadFile(filepath.Join(b.dir, "log"))
	return string(text)
}

// mounts lists what is mounted below the bench, deepest first.
func (b *bench) mounts() []string {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	var list []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], b.dir+"/") {
			list = append([]string{f[4]}, list...)
		}
	}
	return list
}

// loops lists the loop devices whose files lie in the bench, or lay on a file
// system of it that is unmounted by now.
func (b *bench) loops() []string {
	out, _ := exec.Command("losetup", "-n", "-O", "NAME,BACK-FILE").Output()
	var list []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		lost := f[1] == "/disk" && b.inserted[f[0]] != ""
		if lost || strings.Contains(line, b.dir+"/") {
			list = append(list, f[0])
		}
	}
	return list
}

// wait waits until the condition holds.
func (b *bench) wait(what string, holds func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if b.daemon != nil {
			select {
			case err := <-b.exited:
				b.daemon = nil
				b.t.Fatalf("the daemon ended (%v) while the test waited for %s", err, what)
			default:
			}
		}
		if time.Now().After(end) {
			b.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// files are the content of a stick by name. "link NAME" is a symbolic link, its
// content where that leads.
type files map[string]string

// sign adds the detached signature of name, made by the openssl command.
func (f files) sign(b *bench, name string, by *raucbench.PKI) files {
	b.t.Helper()
	dir := b.t.TempDir()
	path := filepath.Join(dir, "content")
	b.must(os.WriteFile(path, []byte(f[name]), 0o644))
	b.must(by.Sign(path))
	p7s, err := os.ReadFile(path + ".p7s")
	b.must(err)
	f[name+".p7s"] = string(p7s)
	return f
}

// stick makes an ext4 image with a label and files. What is no plain file is
// made by more, in the directory that it is made of.
func (b *bench) stick(label string, f files, more ...func(root string)) string {
	b.t.Helper()
	root := b.t.TempDir()
	size := 8
	for name, content := range f {
		name, link := strings.CutPrefix(name, "link ")
		path := filepath.Join(root, name)
		b.must(os.MkdirAll(filepath.Dir(path), 0o755))
		if link {
			b.must(os.Symlink(content, path))
			continue
		}
		b.must(os.WriteFile(path, []byte(content), 0o644))
		size += len(content)>>20*11/10 + 1
	}
	for _, m := range more {
		m(root)
	}
	image := filepath.Join(b.dir, "sticks", fmt.Sprintf("%s-%d.img", plainName(label), time.Now().UnixNano()))
	args := append([]string{"-q", "-t", "ext4", "-L", label, "-d", root}, b.mkfs...)
	out, err := exec.Command("mke2fs", append(args, image, fmt.Sprintf("%dM", size))...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("mke2fs: %v: %s", err, out)
	}
	return image
}

// plainName keeps of a label what may stand in the name of a file.
func plainName(label string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("/\\\n\x1b", r) {
			return '_'
		}
		return r
	}, label)
}

// plug attaches a copy of an image as a loop device and returns its path.
func (b *bench) plug(image string) string {
	b.t.Helper()
	b.plugs++
	inserted := fmt.Sprintf("%s.%d", image, b.plugs)
	b.must(copyFile(image, inserted))
	return b.attach(inserted)
}

// attach makes the file a loop device.
func (b *bench) attach(file string) string {
	b.t.Helper()
	out, err := exec.Command("losetup", "--find", "--show", "--partscan", file).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		b.t.Fatalf("losetup: %v: %s", err, exit.Stderr)
	}
	b.inserted[strings.TrimSpace(string(out))] = file
	return strings.TrimSpace(string(out))
}

// plugDisk is plug for a partitioned image. Where the kernel reads no partition
// tables the partitions are announced one by one, before the daemon may see the
// device: its file gets a name in the bench only then.
func (b *bench) plugDisk(image string) string {
	b.t.Helper()
	need.Tool(b.t, "partx")
	hidden, err := os.MkdirTemp("/var/tmp", "usbagent-hidden-")
	b.must(err)
	defer os.RemoveAll(hidden)
	file := filepath.Join(hidden, "disk")
	b.must(copyFile(image, file))
	device := b.attach(file)
	if nodes, _ := filepath.Glob(device + "p*"); len(nodes) == 0 {
		if out, err := exec.Command("partx", "-a", device).CombinedOutput(); err != nil {
			b.t.Fatalf("partx: %v: %s", err, out)
		}
	}
	b.plugs++
	b.inserted[device] = fmt.Sprintf("%s.%d", image, b.plugs)
	b.must(os.Rename(file, b.inserted[device]))
	b.must(os.WriteFile("/sys/block/"+filepath.Base(device)+"/uevent", []byte("add"), 0))
	return device
}

// pull takes the medium out: a loop device in use cannot be detached, so its
// file loses all its bytes first, and the kernel announces a disk without a medium.
func (b *bench) pull(device string) {
	b.t.Helper()
	b.must(os.Truncate(b.inserted[device], 0))
	if out, err := exec.Command("losetup", "-c", device).CombinedOutput(); err != nil {
		b.t.Fatalf("losetup -c: %v: %s", err, out)
	}
	b.wait("the pulled stick to be let go", func() bool { return !b.mounted(device) })
	exec.Command("partx", "-d", device).Run() // announced by hand, so taken back by hand
	if out, err := exec.Command("losetup", "-d", device).CombinedOutput(); err != nil {
		b.t.Fatalf("losetup -d: %v: %s", err, out)
	}
	delete(b.inserted, device)
}

// mounted reports whether the device is mounted anywhere.
func (b *bench) mounted(device string) bool {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	return strings.Contains(string(text), " "+device+" ") || strings.Contains(string(text), " "+device+"p")
}

func (b *bench) status() agent.Status {
	st, err := agent.ReadStatus(filepath.Join(b.dir, "run/status.json"))
	if err != nil {
		b.t.Logf("status: %v", err)
	}
	return st
}

// finished waits until the n-th stick of status.json (from 0) is finished.
func (b *bench) finished(n int) agent.StickStatus {
	b.t.Helper()
	var s agent.StickStatus
	b.wait(fmt.Sprintf("stick %d to be finished", n), func() bool {
		st := b.status()
		if len(st.Sticks) <= n || st.Sticks[n].Finished.IsZero() {
			return false
		}
		s = st.Sticks[n]
		return true
	})
	return s
}

// done waits until the stick that is in as device is finished.
func (b *bench) done(device string) agent.StickStatus {
	b.t.Helper()
	var found agent.StickStatus
	b.wait(device+" to be finished", func() bool {
		for _, s := range b.status().Sticks {
			if s.Present && s.Device == filepath.Base(device) && !s.Finished.IsZero() {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// run plugs a stick with these files and waits for its end.
func (b *bench) run(label string, f files) (agent.StickStatus, string) {
	b.t.Helper()
	device := b.plug(b.stick(label, f))
	return b.done(device), device
}

// led says what the LED shows: off, on or blink; flashes are either.
func (b *bench) led() string {
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(b.dir, "root/sys/class/leds/yellow", name))
		return strings.TrimSpace(string(text))
	}
	switch {
	case read("trigger") == "timer":
		return "blink"
	case read("brightness") == "0":
		return "off"
	}
	return "on"
}

// step returns the first step of that kind.
func step(s agent.StickStatus, kind string) (result, reason string) {
	for _, x := range s.Steps {
		if x.Step == kind {
			return x.Result, x.Reason
		}
	}
	return "", ""
}

// expect fails the test unless the step has the result and its reason contains text.
func (b *bench) expect(s agent.StickStatus, kind, result, text string) {
	b.t.Helper()
	got, reason := step(s, kind)
	if got != result || !strings.Contains(reason, text) {
		b.t.Errorf("step %s is %q (%s), want %q with %q", kind, got, reason, result, text)
	}
}

func command(name string, args ...string) *exec.Cmd { return exec.Command(name, args...) }

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// pause lets the daemon get a little further than at the pause before.
func (b *bench) pause(i int) { time.Sleep(time.Duration(i*i) * time.Millisecond / 2) }

// out is what the scripts wrote.
func (b *bench) out() string {
	text, _ := os.ReadFile(filepath.Join(b.dir, "out"))
	return string(text)
}
