// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"usbagent/test/need"
)

func TestStickWithNothingToDo(t *testing.T) {
	b := newBench(t)
	b.start()
	s, device := b.run("EMPTY", files{"readme.txt": "nothing for us\n"})
	b.expect(s, "mount", "done", "ext4")
	if s.Label != "EMPTY" || s.Filesystem != "ext4" || s.Mountpoint != filepath.Join(b.dir, "media/EMPTY") || s.Code != 0 {
		t.Errorf("status: %+v", s)
	}
	if got := read(t, filepath.Join(s.Mountpoint, "readme.txt")); got != "nothing for us\n" {
		t.Errorf("the mount shows %q", got)
	}
	if err := os.WriteFile(filepath.Join(s.Mountpoint, "x"), nil, 0o644); err == nil {
		t.Error("the mount can be written")
	}
	b.wait("the LED to be off", func() bool { return b.led() == "off" })
	b.pull(device)
	b.wait("the mount point to be gone", func() bool {
		_, err := os.Stat(s.Mountpoint)
		return os.IsNotExist(err)
	})
	if !strings.Contains(b.logText(), "stick pulled") {
		t.Error("the log does not tell of the pull")
	}
}

// keyringStick is a stick that brings the customer's keyring, signed by the vendor.
func (b *bench) keyringFiles() files {
	return files{"fwupdate-keyring.pem": read(b.t, customer.Keyring)}.sign(b, "fwupdate-keyring.pem", vendor)
}

func TestRotationThenScriptOnOneStick(t *testing.T) {
	b := newBench(t)
	b.start()
	out := filepath.Join(b.dir, "out")
	f := b.keyringFiles()
	f["autorun.sh"] = "#!/bin/sh\necho ran >>" + out + "\npwd >>" + out + "\necho \"$0\" >>" + out + "\n"
	f.sign(b, "autorun.sh", customer)
	s, device := b.run("ALL", f)
	b.expect(s, "keyring", "done", "signed by")
	b.expect(s, "autorun", "done", "exit status 0")
	if got, want := read(t, b.keyringPath()), read(t, customer.Keyring); got != want {
		t.Error("the installed keyring is not the customer's, byte for byte")
	}
	if got := read(t, filepath.Join(b.dir, "etc/rauc/vendor.pem")); got != read(t, vendor.Keyring) {
		t.Error("the target of the link was changed")
	}
	if want := "ran\n" + s.Mountpoint + "\nautorun.sh\n"; read(t, out) != want {
		t.Errorf("script wrote %q, want %q", read(t, out), want)
	}
	b.pull(device)

	s, device = b.run("AGAIN", f)
	b.expect(s, "keyring", "skipped", "already installed")
	b.expect(s, "autorun", "skipped", "already executed")
	if s.Code != 0 || strings.Count(read(t, out), "ran\n") != 1 {
		t.Errorf("second plug: code %d, script wrote %q", s.Code, read(t, out))
	}
	b.pull(device)
}

func TestTamperedScriptIsRefused(t *testing.T) {
	b := newBench(t)
	b.start()
	out := filepath.Join(b.dir, "out")
	f := files{"autorun.sh": "#!/bin/sh\necho signed >>" + out + "\n"}.sign(b, "autorun.sh", vendor)
	f["autorun.sh"] = strings.Replace(f["autorun.sh"], "signed", "forged", 1)
	s, device := b.run("FORGED", f)
	b.expect(s, "autorun", "refused", "")
	if s.Code != 4 {
		t.Errorf("failure code %d, want 4", s.Code)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("the tampered script ran")
	}
	b.wait("the LED to flash", func() bool { return b.led() == "on" })
	b.pull(device)
	b.wait("the LED to be off", func() bool { return b.led() == "off" })
}

func TestFailureIsShownAgainAfterARestart(t *testing.T) {
	b := newBench(t)
	b.start()
	_, device := b.run("HALF", files{"autorun.sh": "#!/bin/sh\n"})
	b.stop(syscall.SIGKILL)
	b.must(os.WriteFile(filepath.Join(b.dir, "root/sys/class/leds/yellow/brightness"), []byte("0\n"), 0o644))
	b.start()
	b.wait("the failure to be told", func() bool { st := b.status(); return st.State == "failed" && len(st.Sticks) == 1 })
	b.wait("the LED to flash", func() bool { return b.led() == "on" })
	if st := b.status(); st.Sticks[0].Code != 4 {
		t.Errorf("sticks %+v", st.Sticks)
	}
	b.pull(device)
	b.wait("the LED to be off", func() bool { return b.led() == "off" })
}

// TestPulledBetweenTakeoverAndScan: the mount of an earlier run is undone
// although no event and no scan ever shows its disk. The daemon is held between
// the two by a service manager that does not read READY=1.
func TestPulledBetweenTakeoverAndScan(t *testing.T) {
	b := newBench(t)
	b.start()
	s, device := b.run("LEFT", files{})
	b.stop(syscall.SIGKILL)

	address := &net.UnixAddr{Name: filepath.Join(b.dir, "notify"), Net: "unixgram"}
	manager, err := net.ListenUnixgram("unixgram", address)
	b.must(err)
	defer manager.Close()
	filler, err := net.DialUnix("unixgram", nil, address)
	b.must(err)
	defer filler.Close()
	b.must(filler.SetWriteDeadline(time.Now().Add(time.Second)))
	for err == nil {
		_, err = filler.Write([]byte("X=1"))
	}
	b.env = []string{"NOTIFY_SOCKET=" + address.Name}
	b.launch()
	b.wait("the mount to be taken over", func() bool { return strings.Contains(b.logText(), "mount of an earlier run taken over") })
	b.must(os.Truncate(b.inserted[device], 0))
	b.must(command("losetup", "-c", device).Run())
	if strings.Count(b.logText(), "stick found") != 1 {
		t.Fatal("the daemon is not where this test wants it")
	}
	for message := make([]byte, 100); string(message[:7]) != "READY=1"; {
		_, err := manager.Read(message)
		b.must(err)
	}
	b.wait("the mount to be undone", func() bool { return len(b.mounts()) == 0 })
	b.wait("its directory to be gone", func() bool { _, err := os.Stat(s.Mountpoint); return os.IsNotExist(err) })
	b.pull(device)
}

func TestStopWithinFiveSeconds(t *testing.T) {
	b := newBench(t)
	b.start()
	s, device := b.run("STAY", files{})
	if took := b.stop(syscall.SIGTERM); took > 5*time.Second {
		t.Errorf("the daemon took %v to end", took)
	}
	if _, err := os.Stat(s.Mountpoint); !os.IsNotExist(err) {
		t.Errorf("mount point is left: %v", err)
	}
	if b.led() != "off" {
		t.Error("the LED is left on")
	}
	b.start()
	if again := b.finished(0); again.Started != s.Started {
		t.Errorf("the stick was processed again: %+v", again)
	}
	b.wait("the stick to be mounted again", func() bool { return b.mounted(device) })
	b.pull(device)
}

// TestReadyBeforeTheFirstStick: a stick that is there at the start is touched
// only after the service manager was told READY=1, by the order of the
// daemon's system calls.
func TestReadyBeforeTheFirstStick(t *testing.T) {
	b := newBench(t)
	socket := filepath.Join(b.dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	b.must(err)
	defer manager.Close()
	calls := filepath.Join(b.dir, "calls")
	b.env = []string{"NOTIFY_SOCKET=" + socket}
	b.under = []string{need.Tool(t, "strace"), "-D", "-f", "-qq", "-o", calls, "-e", "trace=write,sendto,sendmsg,open,openat,openat2,mount,fsopen,fsconfig,mkdirat"}
	device := b.plug(b.stick("THERE", b.keyringFiles()))
	b.start()
	b.expect(b.finished(0), "keyring", "done", "")
	b.pull(device)
	b.stop(syscall.SIGTERM)

	trace := read(t, calls)
	ready, touched := strings.Index(trace, `"READY=1`), strings.Index(trace, device)
	if ready < 0 || touched < 0 || touched < ready {
		t.Errorf("READY=1 at byte %d of the trace, %s at %d", ready, device, touched)
	}
	message := make([]byte, 100)
	b.must(manager.SetReadDeadline(time.Now().Add(patience)))
	if n, err := manager.Read(message); err != nil || string(message[:n]) != "READY=1" {
		t.Errorf("the first message is %q, %v", message[:n], err)
	}
}

func TestSecondDaemonRefuses(t *testing.T) {
	b := newBench(t)
	b.start()
	program, _ := usbagent()
	cmd := command(program, append([]string{"run", "--config", b.configFile()}, b.flags...)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "another usbagent runs") {
		t.Errorf("second daemon: %v: %s", err, out)
	}
}
