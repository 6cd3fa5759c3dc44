// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scriptFiles is a stick with a script of these lines, signed by the vendor.
func (b *bench) scriptFiles(lines ...string) files {
	b.t.Helper()
	return files{"autorun.sh": "#!/bin/sh\n" + strings.Join(lines, "\n") + "\n"}.sign(b, "autorun.sh", vendor)
}

// gate is a file that a script waits for, and one that says that it waits.
func (b *bench) gate() (lines []string, waiting func() bool, open func()) {
	path := filepath.Join(b.dir, "gate")
	lines = []string{"touch " + path + ".waiting", "while [ ! -e " + path + " ]; do sleep 0.05; done"}
	waiting = func() bool { _, err := os.Stat(path + ".waiting"); return err == nil }
	open = func() { b.must(os.WriteFile(path, nil, 0o644)) }
	return lines, waiting, open
}

func (b *bench) exists(name string) bool {
	_, err := os.Stat(filepath.Join(b.dir, name))
	return err == nil
}

func TestScriptGoesOnWhenTheStickIsPulled(t *testing.T) {
	b := newBench(t)
	b.start()
	wait, waiting, open := b.gate()
	out := filepath.Join(b.dir, "out")
	script := append(wait, `sh -c '. ./autorun.sh' >/dev/null 2>&1; grep -c gate autorun.sh >`+out, "exit 7")
	// The script reads its own name after the pull: it must see the verified bytes.
	script[len(script)-2] = `grep -c gate autorun.sh >` + out
	device := b.plug(b.stick("PULLED", b.scriptFiles(script...)))
	b.wait("the script to wait", waiting)
	b.pull(device)
	if b.exists("media/PULLED") {
		t.Error("the mount point is left")
	}
	b.wait("the LED to be off", func() bool { return b.led() == "off" })
	open()
	s := b.finished(0)
	b.expect(s, "autorun", "failed", "exit status 7")
	if got := read(t, out); got == "0\n" || got == "" {
		t.Errorf("after the pull the script read %q under its own name", got)
	}
	s, device = b.run("PULLED", files{"readme": ""})
	if s.Mountpoint != filepath.Join(b.dir, "media/PULLED") {
		t.Errorf("the next stick is mounted on %s", s.Mountpoint)
	}
	b.pull(device)
}

func TestRestartAdoptsTheRunningScript(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			b := newBench(t)
			b.start()
			wait, waiting, open := b.gate()
			device := b.plug(b.stick("ADOPT", b.scriptFiles(append(wait, "echo ran >>"+b.dir+"/out", "exit 3")...)))
			b.wait("the script to wait", waiting)
			if took := b.stop(sig); took > 5*time.Second {
				t.Errorf("the daemon took %v to end", took)
			}
			if !b.mounted(device) {
				t.Error("the mount of a running script was undone")
			}
			b.start()
			b.wait("the new daemon to say that it waits", func() bool { return strings.Contains(b.status().Busy, "script") })
			if b.exists("out") {
				t.Fatal("the script went on by itself")
			}
			open()
			s := b.finished(0)
			b.expect(s, "autorun", "failed", "exit status 3")
			if got := read(t, filepath.Join(b.dir, "out")); got != "ran\n" {
				t.Errorf("the script wrote %q", got)
			}
			b.pull(device)
		})
	}
}

func TestHangupRunsNothingTwice(t *testing.T) {
	b := newBench(t)
	b.start()
	wait, waiting, open := b.gate()
	device := b.plug(b.stick("HUP", b.scriptFiles(append([]string{"echo ran >>" + b.dir + "/out"}, wait...)...)))
	b.wait("the script to wait", waiting)
	b.must(b.daemon.Process.Signal(syscall.SIGHUP))
	b.wait("the daemon to take the script over", func() bool { return strings.Contains(b.logText(), "taken over") })
	open()
	b.expect(b.finished(0), "autorun", "done", "exit status 0")
	b.must(b.daemon.Process.Signal(syscall.SIGHUP))
	b.wait("the daemon to remember the stick", func() bool { return strings.Contains(b.logText(), "handled before") })
	if got := read(t, filepath.Join(b.dir, "out")); got != "ran\n" {
		t.Errorf("the script wrote %q", got)
	}
	b.pull(device)
}

func TestScriptMayKillTheAgent(t *testing.T) {
	b := newBench(t)
	b.start()
	device := b.plug(b.stick("KILLER", b.scriptFiles(
		fmt.Sprintf("kill -9 %d", b.daemon.Process.Pid), "sleep 0.2", "echo survived >>"+b.dir+"/out")))
	<-b.exited
	b.daemon = nil
	b.wait("the script to go on", func() bool { return b.exists("out") })
	b.start()
	b.expect(b.finished(0), "autorun", "done", "exit status 0")
	if got := read(t, filepath.Join(b.dir, "out")); got != "survived\n" {
		t.Errorf("the script wrote %q", got)
	}
	b.pull(device)
}

// TestSecondStickWaitsMounted checks that a stick behind a running script is
// mounted and says what it waits for, and that effects keep the order of arrival.
func TestSecondStickWaitsMounted(t *testing.T) {
	b := newBench(t)
	b.start()
	wait, waiting, open := b.gate()
	first := b.plug(b.stick("SAME", b.scriptFiles(append(wait, "echo first >>"+b.dir+"/out")...)))
	b.wait("the script to wait", waiting)
	second := b.plug(b.stick("SAME", b.scriptFiles("echo second >>"+b.dir+"/out")))
	b.wait("the second stick to be mounted and to wait", func() bool {
		st := b.status()
		return len(st.Sticks) == 2 && st.Sticks[1].Mountpoint != "" && strings.Contains(st.Sticks[1].Waiting, "script")
	})
	st := b.status()
	if st.Sticks[0].Mountpoint == st.Sticks[1].Mountpoint {
		t.Errorf("both media are mounted on %s", st.Sticks[0].Mountpoint)
	}
	open()
	b.finished(1)
	if got := read(t, filepath.Join(b.dir, "out")); got != "first\nsecond\n" {
		t.Errorf("scripts wrote %q", got)
	}
	b.pull(first)
	b.pull(second)
}

// TestEndNotRecorded plays a power cut during the script: the list has it, its
// end was never seen, and nothing of it runs any more.
func TestEndNotRecorded(t *testing.T) {
	b := newBench(t)
	b.start()
	f := b.scriptFiles("echo ran >>"+b.dir+"/out", "sleep 1000 & echo $! >"+b.dir+"/child", "kill -9 $PPID", "kill -9 $$")
	device := b.plug(b.stick("CUT", f))
	b.wait("the script to run", func() bool { return b.exists("child") })
	b.expect(b.finished(0), "autorun", "failed", "unknown")
	b.pull(device)
	s, device := b.run("CUT", f)
	b.expect(s, "autorun", "failed", "end not recorded")
	if s.Code != 5 {
		t.Errorf("failure code %d, want 5", s.Code)
	}
	if got := read(t, filepath.Join(b.dir, "out")); got != "ran\n" {
		t.Errorf("the script wrote %q", got)
	}
	b.pull(device)
	var child int
	fmt.Sscan(read(t, filepath.Join(b.dir, "child")), &child)
	syscall.Kill(child, syscall.SIGKILL)
}

func TestScriptMayEditTheList(t *testing.T) {
	b := newBench(t)
	b.start()
	f := b.scriptFiles("echo ran >>"+b.dir+"/out", "rm "+b.dir+"/cache/executed.list")
	for range 2 {
		s, device := b.run("AGAIN", f)
		b.expect(s, "autorun", "done", "exit status 0")
		b.pull(device)
	}
	if got := read(t, filepath.Join(b.dir, "out")); got != "ran\nran\n" {
		t.Errorf("the script wrote %q", got)
	}
}

func TestVolatileListIsRefused(t *testing.T) {
	b := newBench(t)
	b.config["autorun.executed_list"] = `"/dev/shm/usbagent-test/executed.list"`
	defer os.RemoveAll("/dev/shm/usbagent-test")
	b.start()
	s, device := b.run("VOLATILE", b.scriptFiles("echo ran >>"+b.dir+"/out"))
	b.expect(s, "autorun", "refused", "autorun.allow_volatile_list")
	if s.Code != 4 || b.exists("out") {
		t.Errorf("code %d, ran: %v", s.Code, b.exists("out"))
	}
	b.pull(device)
}

func TestTimeLimit(t *testing.T) {
	b := newBench(t)
	b.config["autorun.timeout"] = `"1s"`
	b.start()
	s, device := b.run("ENDLESS", b.scriptFiles("sleep 1000"))
	b.expect(s, "autorun", "failed", "autorun.timeout")
	if s.Code != 5 {
		t.Errorf("failure code %d, want 5", s.Code)
	}
	b.pull(device)
}
