// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"usbagent/netlink"
	"usbagent/test/raucbench"
)

// What an idle daemon may cost.
const (
	maxIdleMemory  = 9_000_000 // bytes resident
	maxIdleWakeups = 2         // in a minute
)

// process reads a number of the daemon's process, or the sum over its threads
// where the name is one of a thread's.
func (b *bench) process(name string) (sum int64) {
	b.t.Helper()
	pattern := fmt.Sprintf("/proc/%d/status", b.daemon.Process.Pid)
	switch name {
	case "rchar": // proc_pid_io(5)
		pattern = fmt.Sprintf("/proc/%d/io", b.daemon.Process.Pid)
	case "voluntary_ctxt_switches":
		pattern = fmt.Sprintf("/proc/%d/task/*/status", b.daemon.Process.Pid)
	}
	paths, err := filepath.Glob(pattern)
	b.must(err)
	found := false
	for _, path := range paths {
		text, _ := os.ReadFile(path) // a thread may just have ended
		for line := range strings.Lines(string(text)) {
			var n int64
			if _, err := fmt.Sscanf(line, name+": %d", &n); err == nil {
				sum, found = sum+n, true
			}
		}
	}
	if !found {
		b.t.Fatalf("no %s in %s", name, pattern)
	}
	return sum
}

// TestIdleCostsLittle: what the daemon holds, and how often it is woken, before
// a stick was there and after one with a large script was handled. Resident
// file pages are the program's own, shared and reclaimable, and depend on the
// kernel's read-ahead; what the board has of them is measured there (make bench).
func TestIdleCostsLittle(t *testing.T) {
	b := newBench(t)
	b.program = withoutRace // the race detector has threads and memory of its own
	b.start()
	program, err := os.Stat(fmt.Sprintf("/proc/%d/exe", b.daemon.Process.Pid))
	b.must(err)
	b.wait("the daemon to have read its program, once", func() bool { return b.process("rchar") > program.Size() })
	b.holdsLittle("before a stick")
	f := b.keyringFiles()
	f["autorun.sh"] = script(scriptSize)
	f.sign(b, "autorun.sh", customer)
	_, device := b.run("ALL", f)
	if peak := b.process("VmHWM") << 10; peak > scriptSize+maxAboveScript+maxIdleMemory {
		t.Errorf("peak of %d bytes with a script of %d", peak, scriptSize)
	}
	b.pull(device)
	b.holdsLittle("after a stick")
	b.sleepsWell()
}

const (
	scriptSize     = 60 << 20
	maxAboveScript = 8 << 20 // bytes that verifying a script may take above its size and an idle daemon
	maxIdleHeap    = 5 << 20 // bytes of its own memory that an idle daemon holds
)

// script is a shell script of n bytes.
func script(n int) string {
	line := "# a comment, so that the script is as large as scripts may be\n"
	return ("#!/bin/sh\n" + strings.Repeat(line, n/len(line)+1))[:n]
}

// holdsLittle waits until an idle daemon has given back what it worked with.
func (b *bench) holdsLittle(when string) {
	b.t.Helper()
	b.wait("the idle daemon gives its memory back", func() bool { return b.process("RssAnon")<<10 <= maxIdleHeap })
	b.t.Logf("%s: resident %d bytes, %d of them its own memory", when, b.process("VmRSS")<<10, b.process("RssAnon")<<10)
}

// eventWakeups is how often an event of any block device of the machine may
// wake the runtime's threads; other tests and programs attach such devices.
const eventWakeups = 100

// sleepsWell counts how often the daemon is woken in a minute: the voluntary
// context switches of all its threads.
func (b *bench) sleepsWell() {
	b.t.Helper()
	source, err := netlink.Listen(netlink.Options{})
	b.must(err)
	defer source.Close()
	go func() {
		for err := error(nil); err == nil; {
			_, err = source.Next(b.t.Context())
		}
	}()
	time.Sleep(5 * time.Second) // the runtime gives back its memory
	events, wakeups := int64(source.Counters().Events), b.process("voluntary_ctxt_switches")
	time.Sleep(time.Minute)
	events, wakeups = int64(source.Counters().Events)-events, b.process("voluntary_ctxt_switches")-wakeups
	b.t.Logf("%d wakeups in a minute with %d events", wakeups, events)
	if wakeups > maxIdleWakeups+eventWakeups*events {
		b.t.Errorf("%d wakeups in a minute with %d events", wakeups, events)
	}
}

// TestManySticksAtOnce: what a daemon holds, and how long each takes, with one
// stick and with sixteen that come together. The times are told, not judged.
func TestManySticksAtOnce(t *testing.T) {
	for _, n := range []int{1, 4, 16} {
		b := newBench(t)
		b.program = withoutRace
		b.start()
		var images []string
		for i := range n {
			f := files{"autorun.sh": fmt.Sprintf("#!/bin/sh\necho %d >>%s/out\n", i, b.dir)}.sign(b, "autorun.sh", vendor)
			images = append(images, b.stick(fmt.Sprintf("S%d", i), f))
		}
		begun := time.Now()
		var devices []string
		for _, image := range images {
			devices = append(devices, b.plug(image))
		}
		for _, device := range devices {
			b.expect(b.done(device), "autorun", "done", "")
		}
		took := time.Since(begun)
		own, peak := b.process("RssAnon")<<10, b.process("VmHWM")<<10
		t.Logf("%d sticks: %v, %v each; own memory %d bytes, peak resident %d", n, took, took/time.Duration(n), own, peak)
		if own > maxIdleHeap+int64(n)*maxEachStick {
			t.Errorf("%d sticks leave %d bytes in the daemon", n, own)
		}
		for _, device := range devices {
			b.pull(device)
		}
	}
}

// maxEachStick is what the daemon may hold for a stick that is in, in bytes.
const maxEachStick = 256 << 10

// maxMetadata is how much a stick may be read beyond its files, in bytes:
// partition table, superblock, inodes, directories.
const maxMetadata = 1 << 20

// TestEveryFileIsReadOnce asks the block device how much was read from it: a
// keyring, a script, and an image that goes through the private copy.
func TestEveryFileIsReadOnce(t *testing.T) {
	b := newBench(t)
	rauc := b.withRAUC()
	b.config["installer.direct"] = `"never"`
	b.start()
	content := make([]byte, 8<<20)
	rand.Read(content)
	image, err := rauc.Bundle(raucbench.Bundle{PKI: customer, Version: "2", Content: content})
	b.must(err)
	f := b.keyringFiles()
	f["autorun.sh"] = script(16 << 20)
	f.sign(b, "autorun.sh", customer)
	f["firmware.image"] = read(t, image)
	size := int64(0)
	for _, text := range f {
		size += int64(len(text))
	}
	stick := b.stick("ALL", f)
	before := bytesRead(t)
	device := filepath.Base(b.plug(stick))
	b.wait("the board to be restarted", func() bool { return b.reboots() == 1 })
	b.expect(b.done(device), "image", "done", "")
	got := bytesRead(t)[device] - before[device]
	t.Logf("files of %d bytes, %d bytes were read from the stick", size, got)
	if got < size || got > size+maxMetadata {
		t.Errorf("%d bytes were read of a stick with files of %d bytes", got, size)
	}
}

// bytesRead is how much was ever read from each loop device, by name
// (Documentation/block/stat.rst: the third number is in sectors of 512 bytes).
func bytesRead(t *testing.T) map[string]int64 {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/stat")
	if err != nil || len(files) == 0 {
		t.Fatal("no loop devices", err)
	}
	read := make(map[string]int64)
	for _, file := range files {
		text, _ := os.ReadFile(file) // a device may just be taken away
		if fields := strings.Fields(string(text)); len(fields) > 2 {
			sectors, err := strconv.ParseInt(fields[2], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			read[filepath.Base(filepath.Dir(file))] = sectors * 512
		}
	}
	return read
}
