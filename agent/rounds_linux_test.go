// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// resourceRounds is how often sticks come and go before the daemon must hold
// what it held after the first; USBAGENT_SOAK asks for another number.
const resourceRounds = 1000

// maxGrowth is how much more memory the daemon may have at the end, in bytes.
const maxGrowth = 16 << 20

// holdings is what the daemon holds between two sticks.
type holdings struct {
	files, mounts, loops, threads int
	names                         string // of files below its directories
	memory                        int64  // bytes
}

// holds waits until the daemon has come to rest and looks what it has.
func (b *bench) holds() holdings {
	b.t.Helper()
	var h holdings
	b.wait("the daemon to come to rest", func() bool {
		before := h
		h = b.look()
		time.Sleep(50 * time.Millisecond)
		return h.files == before.files && h.mounts == 0 && h.names == before.names && b.status().State == "idle"
	})
	return h
}

func (b *bench) look() holdings {
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.daemon.Process.Pid))
	h := holdings{files: len(fds), mounts: len(b.mounts()), loops: len(b.loops()), memory: b.proc("VmRSS") << 10, threads: int(b.proc("Threads"))}
	var names []string
	for _, dir := range []string{"media", "run", "state", "cache"} {
		filepath.WalkDir(filepath.Join(b.dir, dir), func(path string, _ os.DirEntry, _ error) error {
			names = append(names, strings.TrimPrefix(path, b.dir))
			return nil
		})
	}
	h.names = strings.Join(names, " ")
	return h
}

// goroutine begins the trace of one in the dump that SIGQUIT asks for. Number 0
// is the scheduler's, and is there only where the signal finds a thread with
// nothing to do.
var goroutine = regexp.MustCompile(`(?m)^goroutine [1-9]`)

// goroutines ends the daemon and returns where its goroutines were, sorted.
func (b *bench) goroutines() []string {
	b.t.Helper()
	before := len(b.logText())
	b.stop(syscall.SIGQUIT)
	var list []string
	for _, trace := range strings.Split(b.logText()[before:], "\n\n") {
		if goroutine.MatchString(trace) {
			list = append(list, created(trace))
		}
	}
	slices.Sort(list)
	if len(list) < 3 {
		b.t.Fatalf("the dump shows %d goroutines", len(list))
	}
	return list
}

func count(list []string, wanted string) (n int) {
	for _, s := range list {
		if s == wanted {
			n++
		}
	}
	return n
}

// created is the function that started a goroutine.
func created(trace string) string {
	_, by, found := strings.Cut(trace, "created by ")
	if !found {
		return "main"
	}
	by, _, _ = strings.Cut(by, " in goroutine")
	by, _, _ = strings.Cut(by, "\n")
	return by
}

// TestManyRounds: files, goroutines, mounts, loop devices, directories and
// memory after a thousand sticks are what they were after the first.
func TestManyRounds(t *testing.T) {
	t.Parallel()
	rounds := resourceRounds
	if n, err := strconv.Atoi(os.Getenv("USBAGENT_SOAK")); err == nil {
		rounds = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d rounds, seed %d", rounds, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := newBench(t)
	b.config["log.level"] = `"warn"`
	sticks := b.sorts()
	all := func() {
		for _, image := range sticks {
			device := b.plug(image)
			b.done(device)
			b.pull(device)
			os.Remove(b.lastPlugged(image))
		}
	}
	b.start()
	all()
	b.holds()
	few := b.goroutines()

	b.start()
	all()
	first := b.holds()
	begun := time.Now()
	for i := range rounds {
		image := sticks[i%len(sticks)]
		device := b.plug(image)
		if random.IntN(4) == 0 {
			time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		} else {
			b.done(device)
		}
		b.pull(device)
		os.Remove(b.lastPlugged(image))
	}
	t.Logf("%.0f sticks a minute", float64(rounds)/time.Since(begun).Minutes())
	last := b.holds()
	allowed := int64(maxGrowth)
	if raceDetector {
		allowed *= 8
	}
	t.Logf("after the first: %d files, %d threads, %d KiB; at the end: %d files, %d threads, %d KiB",
		first.files, first.threads, first.memory>>10, last.files, last.threads, last.memory>>10)
	if last.files != first.files || last.loops != first.loops || last.names != first.names {
		t.Errorf("after the first: %+v\nat the end: %+v", first, last)
	}
	if last.memory > first.memory+allowed {
		t.Errorf("%d KiB after the first, %d KiB at the end", first.memory>>10, last.memory>>10)
	}
	now := b.goroutines()
	for _, by := range slices.Compact(slices.Clone(now)) {
		// The runtime's own come as it sees fit.
		if more := count(now, by); more > count(few, by) && !strings.HasPrefix(by, "runtime.") {
			t.Errorf("%d goroutines of %s, %d after the first; all of them:\n%s", more, by, count(few, by), strings.Join(now, "\n"))
		}
	}
}

// sorts are sticks of all sorts. The script ran before from the second time on.
func (b *bench) sorts() []string {
	both := b.keyringFiles()
	both["autorun.sh"] = "#!/bin/sh\nexit 0\n"
	both.sign(b, "autorun.sh", customer)
	broken := filepath.Join(b.dir, "sticks", "broken.img")
	b.must(os.WriteFile(broken, make([]byte, 1<<20), 0o644))
	return []string{
		b.stick("EMPTY", files{"readme": ""}),
		b.stick("BOTH", both),
		b.stick("HALF", files{"autorun.sh": "#!/bin/sh\n"}),
		b.stick("FORGED", files{"autorun.sh": "#!/bin/sh\n", "autorun.sh.p7s": "x"}),
		broken,
	}
}

// lastPlugged is the copy of an image that was plugged in last.
func (b *bench) lastPlugged(image string) string { return fmt.Sprintf("%s.%d", image, b.plugs) }

// TestSticksComeAndGo: sticks that appear and vanish hundreds of times a
// minute, at whatever moment, do not keep the next good one from being served.
func TestSticksComeAndGo(t *testing.T) {
	b := newBench(t)
	b.start()
	image := b.stick("FLAPS", b.scriptFiles("echo ran >>"+b.dir+"/out"))
	const flaps = 200
	begun := time.Now()
	for i := range flaps {
		device := b.plug(image)
		time.Sleep(time.Duration(i%10) * 3 * time.Millisecond)
		b.pull(device)
		os.Remove(b.lastPlugged(image))
	}
	t.Logf("%.0f plugs a minute", flaps/time.Since(begun).Minutes())
	s, device := b.run("GOOD", b.scriptFiles("echo good >>"+b.dir+"/good"))
	b.expect(s, "autorun", "done", "exit status 0")
	if ran := strings.Count(b.out(), "ran\n"); ran > 1 {
		t.Errorf("the script ran %d times", ran)
	}
	b.pull(device)
	b.wait("nothing to be left behind", func() bool { // the directory goes after the mount
		h := b.holds()
		return h.mounts == 0 && !strings.Contains(h.names, "/media/")
	})
}

// TestLargestScript: a script of the largest size allowed costs the daemon
// that, once, and what it had is given back.
func TestLargestScript(t *testing.T) {
	b := newBench(t)
	b.program = withoutRace // the race detector keeps several times as much
	b.start()
	_, device := b.run("WARM", b.scriptFiles("true"))
	b.pull(device)
	before := b.memory()
	const size = 64 << 20 // autorun.max_size
	tail := "\necho ran >>" + b.dir + "/out\n"
	line := "# " + strings.Repeat("x", 1021) + "\n"
	script := "#!/bin/sh\n" + strings.Repeat(line, size/len(line)-2)
	script += "#" + strings.Repeat("y", size-len(script)-len(tail)-1) + tail
	s, device := b.run("LARGE", files{"autorun.sh": script}.sign(b, "autorun.sh", vendor))
	b.expect(s, "autorun", "done", "exit status 0")
	peak := b.memory() - before
	t.Logf("%d MiB more at the peak for a script of %d MiB", peak>>20, len(script)>>20)
	if len(script) != size || b.out() != "ran\n" || peak > size+32<<20 {
		t.Errorf("%d bytes; the script wrote %q; %d MiB more at the peak", len(script), b.out(), peak>>20)
	}
	b.pull(device)
	b.wait("the memory to be given back", func() bool { return b.look().memory < before+32<<20 })
	over := files{"autorun.sh": script + "\n"}.sign(b, "autorun.sh", vendor)
	s, device = b.run("OVER", over)
	b.expect(s, "autorun", "refused", "the limit is 64 MiB (autorun.max_size)")
	b.pull(device)
}
