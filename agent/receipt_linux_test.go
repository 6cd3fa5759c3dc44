// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"usbagent/agent"
	"usbagent/test/liar"
	"usbagent/test/need"
	"usbagent/test/raucbench"
)

// newReceiptBench is a board that leaves receipts and has a serial number.
func newReceiptBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.config["report.on_stick"] = "true"
	for name, text := range map[string]string{
		"proc/device-tree/model": "chargebyte Tarragon Master\x00", "proc/device-tree/serial-number": "CB0815\x00",
		"usr/share/secc/VERSION": "2.1.0\n",
	} {
		path := filepath.Join(b.dir, "root", name)
		b.must(os.MkdirAll(filepath.Dir(path), 0o755))
		b.must(os.WriteFile(path, []byte(text), 0o644))
	}
	b.config["led.backend"], b.config["led.name"] = `"sysfs"`, `"yellow"`
	return b
}

// receipt reads what was left on a stick that is in.
func (b *bench) receipt(s agent.StickStatus) (r agent.Receipt, text string) {
	b.t.Helper()
	path := filepath.Join(s.Mountpoint, agent.ReportDir, "CB0815")
	b.must(json.Unmarshal([]byte(read(b.t, path+".json")), &r))
	return r, read(b.t, path+".txt")
}

// sound checks the file system of a stick that was unmounted.
func (b *bench) sound(image string) {
	b.t.Helper()
	if out, err := exec.Command("e2fsck", "-fn", image).CombinedOutput(); err != nil {
		b.t.Errorf("e2fsck: %v: %s", err, out)
	}
}

// superblock says how the file system is mounted as a whole, ro or rw.
func (b *bench) superblock(device string) string {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(text)) {
		if _, after, ok := strings.Cut(line, " - "); ok && strings.Contains(after, " "+device+" ") {
			options, _, _ := strings.Cut(strings.Fields(after)[2], ",")
			return options
		}
	}
	return ""
}

// TestLEDIsOnUntilTheReceiptIsSafe: by the order of the daemon's system calls,
// the LED goes off after the receipt's directory is synced.
func TestLEDIsOnUntilTheReceiptIsSafe(t *testing.T) {
	b := newReceiptBench(t)
	calls := filepath.Join(b.dir, "calls")
	b.under = []string{need.Tool(t, "strace"), "-D", "-f", "-y", "-qq", "-o", calls, "-e", "trace=pwrite64,fsync"}
	b.start()
	device := b.plug(b.stick("RECEIPT", b.keyringFiles()))
	b.expect(b.done(device), "report", "done", "receipt written")
	b.wait("the LED to be off", func() bool { return b.led() == "off" })
	b.stop(syscall.SIGTERM)

	on, off, safe := -1, -1, -1
	for i, line := range strings.Split(read(t, calls), "\n") {
		switch lit := strings.Contains(line, "yellow/brightness>"); {
		case lit && strings.Contains(line, `"255`):
			on = i
		case lit && on >= 0 && off < 0 && strings.Contains(line, `"0`):
			off = i
		case strings.Contains(line, "fsync(") && strings.Contains(line, agent.ReportDir+">"):
			safe = i
		}
	}
	if on < 0 || safe < on || off < safe {
		t.Errorf("LED on at line %d of the trace, receipt safe at %d, LED off at %d", on, safe, off)
	}
	b.pull(device)
}

func TestReceipt(t *testing.T) {
	b := newReceiptBench(t)
	b.start()
	f := b.keyringFiles()
	f["autorun.sh"] = "#!/bin/sh\necho one\nprintf 'two\\033[31m\\n' >&2\nexit 3\n"
	f.sign(b, "autorun.sh", customer)
	device := b.plug(b.stick("RECEIPT", f))
	b.wait("the receipt", func() bool {
		_, err := os.Stat(b.dir + "/media/RECEIPT/" + agent.ReportDir + "/CB0815.txt")
		return err == nil
	})
	s := b.done(device)
	b.expect(s, "report", "done", "receipt written")
	b.expect(s, "autorun", "failed", "exit status 3")
	if s.Code != 5 {
		t.Errorf("code %d, want the script's", s.Code)
	}
	r, text := b.receipt(s)
	if r.Board != (agent.Board{Model: "chargebyte Tarragon Master", Serial: "CB0815", Firmware: "2.1.0"}) || r.Code != 5 || r.Result != "failed" ||
		r.Meaning != "script failed" || r.Agent == "" || r.Restarting || r.Earlier != nil || r.Label != "RECEIPT" {
		t.Errorf("%+v", r)
	}
	if len(r.Keyring.Before) != 1 || len(r.Keyring.After) != 1 || r.Keyring.Before[0] == r.Keyring.After[0] {
		t.Errorf("keyring: %+v", r.Keyring)
	}
	if len(r.Steps) != 3 || r.Steps[1].Result != "done" || !strings.Contains(r.Steps[2].Reason, "exit status 3") {
		t.Errorf("steps: %+v", r.Steps)
	}
	if len(r.Output) != 1 || !slices.Equal(r.Output[0].Lines, []string{"one", `two\\x1b[31m`}) {
		t.Errorf("output: %+v", r.Output)
	}
	if !strings.Contains(text, "CB0815") || !strings.Contains(text, "exit status 3") || strings.Contains(text, "\x1b") {
		t.Errorf("text:\n%s", text)
	}
	if at := b.superblock(device); at != "ro" {
		t.Errorf("the stick is left %s", at)
	}
	image := b.inserted[device]
	b.stop(syscall.SIGTERM)
	b.sound(image)
}

// TestNoReceiptUnlessAskedFor: not a byte of the stick changes.
func TestNoReceiptUnlessAskedFor(t *testing.T) {
	b := newBench(t)
	b.start()
	stick := b.stick("PLAIN", b.scriptFiles("true"))
	device := b.plug(stick)
	s := b.done(device)
	if result, _ := step(s, "report"); result != "" {
		t.Errorf("a report step: %s", result)
	}
	image := b.inserted[device]
	b.stop(syscall.SIGTERM)
	if read(t, stick) != read(t, image) {
		t.Error("the stick was written to")
	}
}

// TestReceiptNotPossible: nothing else changes.
func TestReceiptNotPossible(t *testing.T) {
	b := newReceiptBench(t)
	b.start()
	fill := func(s string) string {
		b.t.Helper()
		dir := filepath.Join(b.dir, "fill")
		b.must(os.MkdirAll(dir, 0o755))
		if out, err := exec.Command("mount", "-o", "loop", s, dir).CombinedOutput(); err != nil {
			t.Fatalf("mount: %v: %s", err, out)
		}
		big, err := os.Create(filepath.Join(dir, "big"))
		b.must(err)
		for block := make([]byte, 1024); err == nil; {
			_, err = big.Write(block)
		}
		big.Close()
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Fatalf("umount: %v: %s", err, out)
		}
		return s
	}
	script := func() files { return b.scriptFiles("echo ran >>" + b.dir + "/out; # " + time.Now().String()) }
	for _, c := range []struct {
		name, stick, result, reason string
		readOnly                    bool
	}{
		{"write-protected", b.stick("LOCKED", script()), "skipped", "write-protected", true},
		{"full", fill(b.stick("FULL", script())), "failed", "no space left on device", false},
		{"a file in the way", b.stick("TRAP", func() files { f := script(); f[agent.ReportDir] = "mine"; return f }()), "failed", "a link or a file has this name", false},
	} {
		device := ""
		if c.readOnly {
			out, err := exec.Command("losetup", "--find", "--show", "--read-only", c.stick).Output()
			b.must(err)
			device = strings.TrimSpace(string(out))
			b.inserted[device] = c.stick
		} else {
			device = b.plug(c.stick)
		}
		s := b.done(device)
		b.expect(s, "report", c.result, c.reason)
		b.expect(s, "autorun", "done", "exit status 0")
		if s.Code != 0 || s.Result != "done" {
			t.Errorf("%s: code %d, result %s", c.name, s.Code, s.Result)
		}
		b.wait("the LED to be off", func() bool { return b.led() == "off" })
		if at := b.superblock(device); at != "ro" {
			t.Errorf("%s: the stick is left %s", c.name, at)
		}
		if left, _ := filepath.Glob(s.Mountpoint + "/" + agent.ReportDir + "/*"); len(left) != 0 {
			t.Errorf("%s: left on the stick: %v", c.name, left)
		}
		b.pull(device)
	}
	if got := b.out(); got != "ran\nran\nran\n" {
		t.Errorf("the scripts wrote %q", got)
	}
}

// TestReceiptOnlyWhenThereIsNews restarts the agent, and then the board, with
// the stick in.
func TestReceiptOnlyWhenThereIsNews(t *testing.T) {
	b := newReceiptBench(t)
	b.start()
	s, device := b.run("STAYS", b.scriptFiles("true"))
	first, _ := b.receipt(s)
	image := b.inserted[device]
	content := func() string { b.must(exec.Command("sync").Run()); return read(t, image) }
	before := content()
	flags := b.flags
	for _, boot := range []string{"", "boot-2", "boot-3"} {
		b.stop(syscall.SIGTERM)
		if boot != "" {
			b.flags = append(flags[:len(flags):len(flags)], "--boot-id", boot)
		}
		b.start()
		s = b.done(device)
		b.wait("the stick to be mounted", func() bool { return b.mounted(device) })
		if again, _ := b.receipt(s); !again.Started.Equal(first.Started) || again.Steps[1].Result != "done" {
			t.Errorf("boot %q: the receipt was replaced: %+v", boot, again)
		}
	}
	if content() != before {
		t.Error("the stick was written to")
	}
	b.stop(syscall.SIGTERM) // a stick that came from another board has none of this one
	if out, err := exec.Command("debugfs", "-w", "-R", "rm "+agent.ReportDir+"/CB0815.json", image).CombinedOutput(); err != nil {
		t.Fatalf("debugfs: %v: %s", err, out)
	}
	b.flags = append(flags[:len(flags):len(flags)], "--boot-id", "boot-4")
	b.must(exec.Command("blockdev", "--flushbufs", device).Run())
	b.start()
	b.expect(b.done(device), "report", "done", "")
	b.pull(device)
}

// TestReceiptOfAnImage: the receipt is there before the board restarts, and
// tells the outcome afterwards, once.
func TestReceiptOfAnImage(t *testing.T) {
	b := newReceiptBench(t)
	rauc := b.withRAUC()
	b.start()
	image, _ := b.bundle(rauc, "2", raucbench.Bundle{PKI: vendor})
	device := b.plug(b.stick("IMAGE", files{"firmware.image": image}))
	b.wait("the board to be restarted", func() bool { return b.reboots() == 1 })
	s := b.done(device)
	b.expect(s, "report", "done", "")
	if b.led() != "on" {
		t.Errorf("the LED shows %q while the board restarts", b.led())
	}
	b.boot(rauc, "B", "boot-2")
	s = b.done(device)
	b.expect(s, "image", "skipped", "")
	b.expect(s, "report", "done", "")
	r, text := b.receipt(s)
	if r.Restarting || r.Earlier == nil || r.Earlier.Result != "arrived" || r.Earlier.Version != "2" || len(r.Earlier.Steps) != 3 || r.Earlier.Steps[1].Result != "done" {
		t.Errorf("%+v, earlier %+v", r, r.Earlier)
	}
	if !strings.Contains(text, `image firmware.image, version "2", arrived`) {
		t.Errorf("text:\n%s", text)
	}
	b.boot(rauc, "B", "boot-3")
	if result, _ := step(b.done(device), "report"); result != "" {
		t.Errorf("a second receipt although there is nothing new: %s", result)
	}
	b.pull(device)
}

// TestReceiptAndAPull takes the stick away at moments around the writing.
func TestReceiptAndAPull(t *testing.T) {
	b := newReceiptBench(t)
	b.start()
	for i := range 8 {
		mark := filepath.Join(b.dir, "mark")
		os.Remove(mark)
		device := b.plug(b.stick("PULL", b.scriptFiles("touch "+mark+"; #"+time.Now().String())))
		b.wait("the script to run", func() bool { return b.exists("mark") })
		b.pause(i * 2)
		b.pull(device)
		// By the log: what the file system writes after the pull makes the
		// truncated file of the loop device grow, which looks like one more
		// stick of the same number.
		b.wait("the stick to be finished", func() bool {
			text := b.logText()
			return strings.Count(text, "step=autorun result=done") == i+1 && strings.Count(text, "stick finished, it ") > i
		})
		b.wait("the LED to be off", func() bool { return b.led() == "off" })
	}
	s, device := b.run("AFTER", b.scriptFiles("echo after"))
	b.expect(s, "report", "done", "")
	b.pull(device)
}

// TestReceiptAndAKill kills the agent at moments around the writing: the next
// one leaves the stick read-only, and its file system sound.
func TestReceiptAndAKill(t *testing.T) {
	b := newReceiptBench(t)
	for i := range 8 {
		b.start()
		mark := filepath.Join(b.dir, "mark")
		os.Remove(mark)
		device := b.plug(b.stick("KILL", b.scriptFiles("touch "+mark+"; #"+time.Now().String())))
		b.wait("the script to run", func() bool { return b.exists("mark") })
		b.pause(i * 3)
		b.stop(syscall.SIGKILL)
		b.start()
		b.done(device)
		b.wait("the stick to be read-only", func() bool { return b.superblock(device) == "ro" })
		image := b.inserted[device]
		b.stop(syscall.SIGTERM)
		b.sound(image)
		b.start()
		b.wait("the stick to be mounted", func() bool { return b.mounted(device) })
		b.pull(device)
		b.stop(syscall.SIGTERM)
	}
}

// TestReceiptAndABadDevice has devices that take no write: one fails each, one
// never answers. The first is told at once, the second after a named time; each
// time nothing else changes, and the next stick is served.
func TestReceiptAndABadDevice(t *testing.T) {
	t.Parallel() // it mostly waits
	b := newReceiptBench(t)
	b.start()
	released := make(chan struct{})
	for i, c := range []struct {
		reason string
		write  func(int64) syscall.Errno
	}{
		{"receipt not possible on ext4: ", func(int64) syscall.Errno { return syscall.EIO }},
		{"the device does not answer in time (" + agent.ReceiptTimeout.String(), func(int64) syscall.Errno { <-released; return syscall.EIO }},
	} {
		b.mkfs = []string{"-b", fmt.Sprint(liar.Block)}
		honest := []byte(read(t, b.stick("BAD", b.scriptFiles(fmt.Sprintf("echo %d >>%s/out", i, b.dir)))))
		b.plugs++
		disk := liar.New(t, fmt.Sprintf("%s/bad-%d", b.dir, b.plugs), honest, func(_ int64, _ int, honest []byte) []byte { return honest })
		disk.OnWrite(c.write)
		device := b.attach(disk.Path)
		s := b.done(device)
		b.expect(s, "autorun", "done", "exit status 0")
		b.expect(s, "report", "failed", c.reason)
		if s.Code != 0 || s.Result != "done" {
			t.Errorf("%s: code %d, result %s", c.reason, s.Code, s.Result)
		}
	}
	t.Cleanup(func() { close(released) })
	b.mkfs = nil
	s, device := b.run("GOOD", b.scriptFiles("echo good >>"+b.dir+"/out"))
	b.expect(s, "report", "done", "")
	b.pull(device)
	b.wait("the LED to be off", func() bool { return b.led() == "off" })
	if got := b.out(); got != "0\n1\ngood\n" {
		t.Errorf("the scripts wrote %q", got)
	}
}
