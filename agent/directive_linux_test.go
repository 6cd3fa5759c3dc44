// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"usbagent/test/liar"
	"usbagent/test/need"
)

// vouch is the line by which a script vouches for a file.
func vouch(path, content string) string {
	return fmt.Sprintf("# usbagent: file %q sha256=%x size=%d", path, sha256.Sum256([]byte(content)), len(content))
}

// listed reports whether the script of f is in the list of executed ones.
func (b *bench) listed(f files) bool {
	sum := md5.Sum([]byte(f["autorun.sh"]))
	text, _ := os.ReadFile(filepath.Join(b.dir, "cache/executed.list"))
	return strings.Contains(string(text), hex.EncodeToString(sum[:]))
}

// leftovers are the private copies that are still to be found by a name.
func (b *bench) leftovers() []string {
	left, _ := filepath.Glob(b.dir + "/*/staging/*")
	small, _ := filepath.Glob(b.dir + "/run/payload/*")
	return append(left, small...)
}

func TestPayloadIsThere(t *testing.T) {
	b := newBench(t)
	b.start()
	large := strings.Repeat("large payload\n", 200<<10) // more than is kept in memory
	f := b.scriptFiles(vouch("config.txt", "configuration\n"), vouch("a folder/large", large),
		"cat config.txt >"+b.dir+"/out", "wc -c <'a folder/large' >>"+b.dir+"/out")
	f["config.txt"], f["a folder/large"] = "configuration\n", large
	s, device := b.run("PAYLOAD", f)
	b.expect(s, "autorun", "done", "exit status 0")
	if want := fmt.Sprintf("configuration\n%d\n", len(large)); b.out() != want || s.Code != 0 {
		t.Errorf("code %d, the script wrote %q, want %q", s.Code, b.out(), want)
	}
	if left := b.leftovers(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	b.pull(device)
}

// TestPayloadRefused: a file that is not what the script vouches for stops the
// script, which is not noted, and runs once the stick is mended.
func TestPayloadRefused(t *testing.T) {
	b := newBench(t)
	b.start()
	const good = "configuration\n"
	for what, c := range map[string]struct {
		spoil  func(f files)
		reason string
	}{
		"swapped":         {func(f files) { f["sub/config.txt"] = "configuratiom\n" }, "line 2: sub/config.txt: its content is not what was signed"},
		"missing":         {func(f files) { delete(f, "sub/config.txt") }, "it is not on the stick"},
		"larger":          {func(f files) { f["sub/config.txt"] += "x" }, "it has 15 bytes, the script says 14"},
		"smaller":         {func(f files) { f["sub/config.txt"] = "" }, "it has 0 bytes"},
		"link":            {func(f files) { delete(f, "sub/config.txt"); f["other"] = good; f["link sub/config.txt"] = "../other" }, "symbolic link"},
		"folder link":     {func(f files) { delete(f, "sub/config.txt"); f["other/config.txt"] = good; f["link sub"] = "other" }, "symbolic link"},
		"a folder":        {func(f files) { delete(f, "sub/config.txt"); f["sub/config.txt/x"] = good }, "a directory"},
		"file for folder": {func(f files) { delete(f, "sub/config.txt"); f["sub"] = good }, "not a directory"},
		"other case":      {func(f files) { delete(f, "sub/config.txt"); f["sub/CONFIG.txt"] = good }, "it is not on the stick"},
	} {
		f := b.scriptFiles(vouch("sub/config.txt", good), "# "+what, "echo ran >>"+b.dir+"/out")
		f["sub/config.txt"] = good
		c.spoil(f)
		s, device := b.run("SPOILED", f)
		b.expect(s, "autorun", "refused", c.reason)
		if s.Code != 4 || b.exists("out") || b.listed(f) {
			t.Errorf("%s: code %d, ran %v, noted %v", what, s.Code, b.exists("out"), b.listed(f))
		}
		b.pull(device)
	}
	f := b.scriptFiles(vouch("sub/config.txt", good), "# swapped", "echo ran >>"+b.dir+"/out")
	f["sub/config.txt"] = good
	s, device := b.run("MENDED", f)
	b.expect(s, "autorun", "done", "exit status 0")
	if !b.listed(f) || b.out() != "ran\n" {
		t.Errorf("noted %v, the script wrote %q", b.listed(f), b.out())
	}
	b.pull(device)
	if left := b.leftovers(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestPayloadOfADeviceThatLies: the device exchanges the payload once it was
// read, and forgets nothing that the page cache could help with; the script
// sees what was verified, in memory and in the staging directory.
func TestPayloadOfADeviceThatLies(t *testing.T) {
	b := newBench(t)
	b.start()
	for i, size := range []int{10 * liar.Block, 600 * liar.Block} {
		genuine, forged := strings.Repeat("genuine\n", size/8), strings.Repeat("FORGED!\n", size/8)
		wait, waiting, open := b.gate()
		f := b.scriptFiles(append(append([]string{vouch("payload", genuine)}, wait...),
			fmt.Sprintf("for i in 1 2 3; do grep -c genuine payload; grep -c FORGED payload; done >%s/out; true", b.dir))...)
		f["payload"] = genuine
		device, pull := b.untilCopied(waiting, func() (string, func()) {
			return b.plugLiar(fmt.Sprint("LIAR", i), f, lie{name: "payload", genuine: genuine, forged: forged})
		})
		open()
		s := b.done(device)
		b.expect(s, "autorun", "done", "exit status 0")
		if want := strings.Repeat(fmt.Sprintf("%d\n0\n", size/8), 3); b.out() != want {
			t.Errorf("the script saw %q, want %q", b.out(), want)
		}
		if !b.seesForged(filepath.Join(s.Mountpoint, "payload"), forged) {
			t.Error("the device did not lie: nothing was proven")
		}
		pull()
		for _, name := range []string{"gate", "gate.waiting", "out"} {
			os.Remove(filepath.Join(b.dir, name))
		}
	}
}

// TestPayloadAfterPullAndRestart: the files stay as verified when the stick
// is pulled, the agent is killed and started again.
func TestPayloadAfterPullAndRestart(t *testing.T) {
	b := newBench(t)
	b.start()
	wait, waiting, open := b.gate()
	f := b.scriptFiles(append(append([]string{vouch("sub/payload", "verified\n")}, wait...), "cat sub/payload >"+b.dir+"/out")...)
	f["sub/payload"] = "verified\n"
	device := b.plug(b.stick("PULLED", f))
	b.wait("the script to wait", waiting)
	b.stop(syscall.SIGKILL)
	b.start()
	b.wait("the new daemon to say that it waits", func() bool { return strings.Contains(b.status().Busy, "script") })
	b.pull(device)
	open()
	b.wait("the script to go on", func() bool { return b.out() == "verified\n" })
	b.wait("the end to be seen", func() bool { return strings.Contains(b.logText(), "script of an earlier run ended") })
	if left := append(b.leftovers(), b.mounts()...); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestPayloadWithoutSpace: what does not fit is refused before it is read.
func TestPayloadWithoutSpace(t *testing.T) {
	b := newBench(t)
	b.start()
	f := b.scriptFiles(fmt.Sprintf("# usbagent: file big sha256=%064x size=%d", 0, int64(1)<<40), "echo ran >>"+b.dir+"/out")
	f["big"] = "x"
	s, device := b.run("SPACE", f)
	b.expect(s, "autorun", "refused", "not enough space")
	if s.Code != 4 || b.listed(f) {
		t.Errorf("code %d, noted %v", s.Code, b.listed(f))
	}
	b.pull(device)
}

// deviceTree gives the board a model and a serial number.
func (b *bench) deviceTree(model, serial string) {
	dir := filepath.Join(b.dir, "root/proc/device-tree")
	b.must(os.MkdirAll(dir, 0o755))
	b.must(os.WriteFile(filepath.Join(dir, "model"), []byte(model+"\x00"), 0o644))
	if serial != "" {
		b.must(os.WriteFile(filepath.Join(dir, "serial-number"), []byte(serial+"\x00"), 0o644))
	}
}

func TestScriptForSomeBoards(t *testing.T) {
	for name, c := range map[string]struct {
		tree   bool
		config map[string]string
		line   string
		skip   string
	}{
		"model":          {true, nil, `model="chargebyte Tarragon*"`, ""},
		"other model":    {true, nil, `model="chargebyte Tarragon" model=Other*`, `the model here is "chargebyte Tarragon Master"`},
		"serial":         {true, nil, `serial=CB1,CB2 model=*`, ""},
		"other serial":   {true, nil, `serial=CB1,CB3`, `the serial number here is "CB2"`},
		"no device tree": {false, nil, `model=*Tarragon*`, `the model here is ""`},
		"no serial":      {false, map[string]string{"board.serial_command": `[]`}, `serial=CB2`, "does not tell its own"},
		"configured":     {true, map[string]string{"board.model": `"Mine"`, "board.serial": `"S 1"`}, `model=Mine serial="S 1"`, ""},
		"command":        {false, map[string]string{"board.serial_command": `["echo", "ENV7"]`}, `serial=ENV7`, ""},
		"failing":        {false, map[string]string{"board.serial_command": `["sh", "-c", "echo ENV7; exit 1"]`}, `serial=ENV7`, "does not tell its own"},
		"endless":        {false, map[string]string{"board.serial_command": `["yes"]`}, `serial=y`, "does not tell its own"},
		"not there":      {false, map[string]string{"board.serial_command": `["/no/such"]`}, `serial=y`, "does not tell its own"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if c.tree {
				b.deviceTree("chargebyte Tarragon Master", "CB2")
			}
			for key, value := range c.config {
				b.config[key] = value
			}
			b.start()
			f := b.scriptFiles("# usbagent: board "+c.line, "echo ran >>"+b.dir+"/out")
			s, device := b.run("BOARD", f)
			if c.skip == "" {
				b.expect(s, "autorun", "done", "exit status 0")
			} else {
				b.expect(s, "autorun", "skipped", c.skip)
			}
			if s.Code != 0 || b.exists("out") != (c.skip == "") || b.listed(f) != (c.skip == "") {
				t.Errorf("code %d, ran %v, noted %v", s.Code, b.exists("out"), b.listed(f))
			}
			b.pull(device)
		})
	}
}

func TestDirectivesNotObeyed(t *testing.T) {
	b := newBench(t)
	b.start()
	for _, c := range []struct{ lines, reason string }{
		{"# usbagent: only-on mondays", `line 2: unknown directive "only-on"`},
		{"# usbagent: run sometimes", "line 2: run is"},
		{"# usbagent: run once\n# usbagent: run once", "line 3: a second"},
		{"true\n# usbagent: run once", "line 3: a directive counts only in the comments at the beginning"},
		{"#usbagent: run once", "line 2: a directive is written"},
		{"# usbagent: requires usbagent>=999.0", "it needs usbagent 999.0 or later"},
		{"# usbagent: colour blue\n# usbagent: requires usbagent>=999.0", "it needs usbagent 999.0 or later"},
	} {
		f := b.scriptFiles(c.lines, "echo ran >>"+b.dir+"/out")
		s, device := b.run("BAD", f)
		b.expect(s, "autorun", "refused", c.reason)
		if s.Code != 4 || b.exists("out") || b.listed(f) {
			t.Errorf("%q: code %d, ran %v, noted %v", c.lines, s.Code, b.exists("out"), b.listed(f))
		}
		b.pull(device)
	}
	for _, text := range []string{
		"#!/bin/sh\r\n" + vouch("x", "x") + " \t\r\n# usbagent: requires usbagent>=0.0\r\n:\necho ran >>" + b.dir + "/out\n",
		"\ufeff# usbagent: run once\necho ran >>" + b.dir + "/out\n",
	} {
		f := files{"autorun.sh": text, "x": "x"}.sign(b, "autorun.sh", vendor)
		s, device := b.run("GOOD", f)
		b.expect(s, "autorun", "done", "exit status 0")
		b.pull(device)
	}
	if b.out() != "ran\nran\n" {
		t.Errorf("scripts wrote %q", b.out())
	}
}

// TestRunAlways: again for each fresh plug, once for each insertion, whatever
// happens to the agent.
func TestRunAlways(t *testing.T) {
	b := newBench(t)
	b.start()
	f := b.scriptFiles("# usbagent: run always", "echo ran >>"+b.dir+"/out")
	for i := 1; i <= 3; i++ {
		s, device := b.run("ALWAYS", f)
		b.expect(s, "autorun", "done", "exit status 0")
		b.stop(syscall.SIGKILL)
		b.start()
		b.wait("the stick to be remembered", func() bool { return strings.Count(b.logText(), "handled before") == i })
		if want := strings.Repeat("ran\n", i); b.out() != want {
			t.Fatalf("insertion %d: scripts wrote %q, want %q", i, b.out(), want)
		}
		b.pull(device)
	}
	if text := read(t, filepath.Join(b.dir, "cache/executed.list")); strings.Count(text, "\n") != 1 {
		t.Errorf("the list has %q", text)
	}
}

// TestRunAlwaysRestartsTheAgent: a script that restarts the agent each time
// does not make an endless loop of it.
func TestRunAlwaysRestartsTheAgent(t *testing.T) {
	b := newBench(t)
	b.start()
	device := b.plug(b.stick("RESTART", b.scriptFiles("# usbagent: run always",
		"echo ran >>"+b.dir+"/out", "kill -9 $(cat "+b.dir+"/pid)", "exit 3")))
	b.must(os.WriteFile(filepath.Join(b.dir, "pid"), fmt.Append(nil, b.daemon.Process.Pid), 0o644))
	<-b.exited
	b.daemon = nil
	b.start()
	b.expect(b.done(device), "autorun", "failed", "exit status 3")
	if b.out() != "ran\n" {
		t.Errorf("scripts wrote %q", b.out())
	}
	b.pull(device)
}

// TestRunAlwaysNeedsTheHistory: without a state directory that takes the
// start, nothing would keep the script from running again and again.
func TestRunAlwaysNeedsTheHistory(t *testing.T) {
	b := newBench(t)
	b.start()
	f := b.scriptFiles("# usbagent: run always", "echo ran >>"+b.dir+"/out")
	device := b.plug(b.stick("FIRST", files{}))
	b.done(device)
	b.pull(device)
	b.must(os.RemoveAll(filepath.Join(b.dir, "state")))
	b.must(os.WriteFile(filepath.Join(b.dir, "state"), nil, 0o600))
	device = b.plug(b.stick("ALWAYS", f))
	b.expect(b.done(device), "autorun", "refused", "could not be recorded")
	if b.exists("out") {
		t.Error("it ran")
	}
	b.pull(device)
}

// always is a stick whose script runs at each plug and vouches for two files,
// one that is copied to memory and one that is not.
func (b *bench) always() (image string) {
	large := strings.Repeat("large payload\n", 400<<10)
	f := b.scriptFiles("# usbagent: run always", vouch("small", "small\n"), vouch("sub/large", large),
		"[ $(cat small | wc -c) = 6 ] && [ $(cat sub/large | wc -c) = "+fmt.Sprint(len(large))+" ] && echo ran >>"+b.dir+"/out")
	f["small"], f["sub/large"] = "small\n", large
	return b.stick("KILL", f)
}

// afterKill starts the daemon again while the stick is in, and checks that the
// script never ran twice in this insertion, and that nothing is left.
func (b *bench) afterKill(what, device string, before int) {
	b.t.Helper()
	b.start()
	s := b.done(device)
	switch ran := strings.Count(b.out(), "ran") - before; {
	case ran > 1:
		b.t.Errorf("%s: the script ran %d times", what, ran)
	case ran == 0 && s.Code != 5:
		b.t.Errorf("%s: the script did not run and the stick has code %d: %+v", what, s.Code, s.Steps)
	}
	if left := b.leftovers(); len(left) != 0 {
		b.t.Errorf("%s: left: %v", what, left)
	}
	b.pull(device)
	b.stop(syscall.SIGTERM)
	if left := b.mounts(); len(left) != 0 {
		b.t.Fatalf("%s: mounts left: %v", what, left)
	}
}

// TestKilledWithPayload kills the daemon at random moments while it copies and
// binds what a script with "run always" vouches for.
func TestKilledWithPayload(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := newBench(t)
	image := b.always()
	moments := make(map[string]int)
	for i := range killRounds {
		b.start()
		before := strings.Count(b.out(), "ran")
		device := b.plug(image)
		time.Sleep(time.Duration(random.Int64N(int64(250 * time.Millisecond))))
		b.stop(syscall.SIGKILL)
		moments[fmt.Sprint("ran ", strings.Count(b.out(), "ran")-before)]++
		b.afterKill(fmt.Sprint("round ", i), device, before)
	}
	t.Logf("where the daemon was when it was killed: %v", moments)
}

// steps are the system calls by which copies are finished, named, laid over
// the stick's files and taken away again.
var steps = []string{"fchmod", "linkat", "open_tree", "mount_setattr", "move_mount", "unlinkat", "umount2"}

// TestKilledAtEachStep kills the daemon at each of the steps, as the kernel
// gets to them, counted for each thread of the daemon.
func TestKilledAtEachStep(t *testing.T) {
	strace := need.Tool(t, "strace")
	b := newBench(t)
	image := b.always()
	killed := make(map[string]int)
	for _, call := range steps {
		for n := 1; n <= 4; n++ {
			b.start()
			before := strings.Count(b.out(), "ran")
			tracer := command(strace, "-f", "-p", fmt.Sprint(b.daemon.Process.Pid), "-o", "/dev/null",
				"-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, n))
			b.must(tracer.Start())
			b.wait("strace to be there", func() bool {
				return !strings.Contains(read(t, fmt.Sprintf("/proc/%d/status", b.daemon.Process.Pid)), "TracerPid:\t0\n")
			})
			device := b.plug(image)
			ended := false
			for end := time.Now().Add(patience); !ended && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				select {
				case <-b.exited:
					killed[call]++
					ended, b.daemon = true, nil
				default:
					st := b.status().Sticks
					ended = len(st) > 0 && st[len(st)-1].Present && !st[len(st)-1].Finished.IsZero()
				}
			}
			if b.daemon != nil {
				b.stop(syscall.SIGKILL)
			}
			tracer.Wait()
			b.afterKill(fmt.Sprintf("%s %d", call, n), device, before)
		}
	}
	t.Logf("how often the daemon was killed: %v", killed)
	for _, call := range steps {
		if killed[call] == 0 {
			t.Errorf("%s: the daemon was never killed there, nothing was proven", call)
		}
	}
}

// TestPayloadOf2GB: memory does not grow with the payload.
func TestPayloadOf2GB(t *testing.T) {
	const size = 2 << 30
	hash := sha256.New()
	zeros := make([]byte, 1<<20)
	for range size / len(zeros) {
		hash.Write(zeros)
	}
	b := newBench(t)
	b.start()
	f := b.scriptFiles(fmt.Sprintf("# usbagent: file big sha256=%x size=%d", hash.Sum(nil), size), "stat -c %s big >"+b.dir+"/out")
	image := b.stick("BIG", f)
	b.must(os.Truncate(image, size+256<<20))
	for _, args := range [][]string{
		{"e2fsck", "-fy", image}, {"resize2fs", image},
		{"debugfs", "-w", "-R", "write /dev/null big", image}, {"debugfs", "-w", "-R", fmt.Sprintf("set_inode_field big size %d", size), image},
	} {
		if out, err := command(need.Tool(t, args[0]), args[1:]...).CombinedOutput(); err != nil && args[0] != "e2fsck" {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	device := b.attach(image)
	begun := time.Now()
	s := b.done(device)
	b.expect(s, "autorun", "done", "exit status 0")
	if b.out() != fmt.Sprintln(size) {
		t.Errorf("the script wrote %q", b.out())
	}
	status := read(t, fmt.Sprintf("/proc/%d/status", b.daemon.Process.Pid))
	_, peak, _ := strings.Cut(status, "VmHWM:")
	var kib int
	fmt.Sscan(peak, &kib)
	t.Logf("%v for 2 GiB, at most %d KiB resident", time.Since(begun).Round(time.Second), kib)
	if kib > 64<<10 && !raceDetector {
		t.Errorf("%d KiB resident", kib)
	}
	b.pull(device)
}

// maxEarlyLies is how often untilCopied plugs a device that lies too early.
const maxEarlyLies = 20

// untilCopied plugs until the script waits. What the kernel read ahead the
// device may exchange before the copy has come to it: the signature sees that,
// the script is refused, and nothing is proven about a second reading.
func (b *bench) untilCopied(waiting func() bool, plug func() (string, func())) (device string, pull func()) {
	b.t.Helper()
	for range maxEarlyLies {
		before := len(b.status().Sticks)
		device, pull = plug()
		early := false
		b.wait("the script to wait, or to be refused", func() bool {
			st := b.status().Sticks
			early = len(st) > before && st[before].Code != 0
			return early || waiting()
		})
		if !early {
			return device, pull
		}
		b.expect(b.done(device), "autorun", "refused", "its content is not what was signed")
		pull()
	}
	b.t.Fatalf("the device lied within one reading %d times", maxEarlyLies)
	return device, pull
}
