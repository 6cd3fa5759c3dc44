// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// Other tests on the machine make events of their own: these tests look for
// the names they caused, and never ask for silence.

func listen(t testing.TB, o Options) *Source {
	t.Helper()
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// awaitHint takes hints until one is as asked for. The time limit only ends a
// broken test.
func awaitHint(t testing.TB, s *Source, ok func(Hint) bool) Hint {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		h, err := s.Next(ctx)
		if err != nil {
			t.Fatalf("no such hint: %v, %+v", err, s.Counters())
		}
		if ok(h) {
			return h
		}
	}
}

func names(disk string) func(Hint) bool {
	return func(h Hint) bool { return slices.Contains(h.Disks, disk) }
}

func lost(h Hint) bool { return h.Lost }

// stick makes a disk image with two partitions.
func stick(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stick.img")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 8<<20); err != nil {
		t.Fatal(err)
	}
	sfdisk := exec.Command(need.Tool(t, "sfdisk"), "-q", file)
	sfdisk.Stdin = strings.NewReader("label: dos\n,4M\n,2M\n")
	if out, err := sfdisk.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v: %s", err, out)
	}
	return file
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(need.Tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// plug attaches a file as a loop device and adds its partitions. It returns
// the device's name and what pulls it.
func plug(t testing.TB, file string) (name string, pull func()) {
	t.Helper()
	need.Root(t)
	node := run(t, "losetup", "--find", "--show", file)
	out := false
	pull = func() {
		if !out {
			out = true
			_ = exec.Command("partx", "--delete", node).Run()
			run(t, "losetup", "--detach", node)
		}
	}
	t.Cleanup(pull)
	run(t, "partx", "--update", node) // the kernel may know no partition tables
	return filepath.Base(node), pull
}

// synthesize has the kernel send events of a device.
func synthesize(t testing.TB, uevent, action string, times int) {
	t.Helper()
	f, err := os.OpenFile(uevent, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range times {
		if _, err := f.WriteString(action); err != nil {
			t.Fatal(err)
		}
	}
}

func ueventOf(disk string) string { return "/sys/block/" + disk + "/uevent" }

// TestPlugAndPull: the real kernel, a loop device for the stick.
func TestPlugAndPull(t *testing.T) {
	need.Root(t)
	s := listen(t, Options{})
	start := time.Now()
	name, pull := plug(t, stick(t))
	h := awaitHint(t, s, names(name))
	if h.First.Before(start) || h.First.After(time.Now()) {
		t.Errorf("first event at %v", h.First)
	}
	d, ok := refresh(t, "", name, BusLoop)
	if !ok || d.Size != 8<<20 || d.Major != 7 || d.DiskSeq == 0 || !strings.HasSuffix(d.LoopFile, "/stick.img") {
		t.Errorf("%v %+v", ok, d)
	}
	var stat unix.Stat_t
	for i, p := range d.Partitions {
		if err := unix.Stat(p.Node(), &stat); err != nil || unix.Major(stat.Rdev) != p.Major || unix.Minor(stat.Rdev) != p.Minor {
			t.Errorf("%s: %v, %d:%d", p.Node(), err, unix.Major(stat.Rdev), unix.Minor(stat.Rdev))
		}
		if p.Number != i+1 || p.Name != fmt.Sprintf("%sp%d", name, i+1) || p.Size != int64(4>>i)<<20 {
			t.Errorf("%+v", p)
		}
	}
	if len(d.Partitions) != 2 {
		t.Errorf("%d partitions", len(d.Partitions))
	}
	synthesize(t, ueventOf(name), "add", 1) // as udevadm trigger does
	awaitHint(t, s, names(name))
	if again, _ := refresh(t, "", name, BusLoop); !again.Equal(d) {
		t.Errorf("a repeated add made %+v of %+v", again, d)
	}
	pull()
	for gone := false; !gone; {
		awaitHint(t, s, names(name))
		_, ok := refresh(t, "", name, BusLoop)
		gone = !ok
	}
}

// TestAnnouncedByTheKernel: a device that the real kernel makes, and an add
// that is only asked for, as udevadm trigger does.
func TestAnnouncedByTheKernel(t *testing.T) {
	need.Root(t)
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	var mu sync.Mutex
	told := make(map[string]int)
	s := listen(t, Options{Announced: func(devpath string) { mu.Lock(); defer mu.Unlock(); told[devpath]++ }})
	number := 1 << 16
	for err = unix.EEXIST; errors.Is(err, unix.EEXIST); number++ {
		err = unix.IoctlSetInt(int(control.Fd()), unix.LOOP_CTL_ADD, number+1)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.IoctlSetInt(int(control.Fd()), unix.LOOP_CTL_REMOVE, number); err != nil {
			t.Error(err)
		}
	}()
	name := fmt.Sprint("loop", number)
	text, err := os.ReadFile("/sys/block/" + name + "/diskseq")
	if err != nil {
		t.Fatal(err)
	}
	h := awaitHint(t, s, names(name))
	if seq := strconv.FormatUint(h.Announced[name], 10); seq != strings.TrimSpace(string(text)) {
		t.Errorf("announced with DISKSEQ %s, which is %s", seq, text)
	}
	for _, action := range []string{"add", "add fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed", "change"} {
		synthesize(t, ueventOf(name), action, 1)
		if h := awaitHint(t, s, names(name)); h.Announced[name] != 0 {
			t.Errorf("%s: %+v", action, h)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if told["/devices/virtual/block/"+name] != 1 {
		t.Errorf("told at once: %v", told)
	}
}

// TestReplugIsAnotherInsertion: same name, same numbers, another DISKSEQ.
func TestReplugIsAnotherInsertion(t *testing.T) {
	need.Root(t)
	file := stick(t)
	name, _ := plug(t, file)
	before, _ := refresh(t, "", name, BusLoop)
	run(t, "partx", "--delete", "/dev/"+name)
	run(t, "losetup", "--detach", "/dev/"+name)
	run(t, "losetup", "/dev/"+name, file)
	if after, ok := refresh(t, "", name, BusLoop); !ok || after.SameInsertion(before) {
		t.Errorf("%v %+v, before %+v", ok, after, before)
	}
}

// TestScanOfThisMachine reads every disk of the real sysfs.
func TestScanOfThisMachine(t *testing.T) {
	name, _ := plug(t, stick(t))
	disks, err := Scan("", []string{BusUSB, BusLoop})
	if err != nil && strings.Contains(err.Error(), name+":") {
		t.Error(err) // of another disk it may be that other tests keep changing it
	}
	if !slices.ContainsFunc(disks, func(d Disk) bool { return d.Name == name }) {
		t.Errorf("%s is not among %v", name, disks)
	}
}

// TestLossIsNoticedAndAPlugIsFound: a queue that holds next to nothing, more
// events than fit, then a plug.
func TestLossIsNoticedAndAPlugIsFound(t *testing.T) {
	need.Root(t)
	s, err := open(Options{Buffer: 1}) // the kernel makes 2304 bytes of it
	if err != nil {
		t.Fatal(err)
	}
	other, _ := plug(t, stick(t))
	synthesize(t, ueventOf(other), "change", 1000)
	name, pull := plug(t, stick(t)) // its events are lost as well
	go s.collect()
	t.Cleanup(s.Close)
	awaitHint(t, s, lost)
	disks, _ := Scan("", []string{BusLoop})
	if !slices.ContainsFunc(disks, func(d Disk) bool { return d.Name == name }) {
		t.Errorf("%s is not among %v", name, disks)
	}
	if n := s.Counters().Overruns; n == 0 {
		t.Error("no overrun was counted")
	}
	pull() // events go on arriving after a loss
	awaitHint(t, s, func(h Hint) bool { return h.Lost || names(name)(h) })
}

// TestLossWhileCollecting: the queue overflows again and again while it is
// read; each time is a rescan at most.
func TestLossWhileCollecting(t *testing.T) {
	s := listen(t, Options{Buffer: 1})
	name, _ := plug(t, stick(t))
	synthesize(t, ueventOf(name), "change", 20_000)
	awaitHint(t, s, func(h Hint) bool { return h.Lost || names(name)(h) })
	synthesize(t, ueventOf(name), "change", 1)
	awaitHint(t, s, func(h Hint) bool { return h.Lost || names(name)(h) })
}

const manyEvents = 100_000

// TestManyEvents: 100,000 real events while nobody asks become one hint, in
// memory that does not grow.
func TestManyEvents(t *testing.T) {
	name, _ := plug(t, stick(t))
	s := listen(t, Options{})
	before := heap()
	synthesize(t, ueventOf(name), "change", manyEvents)
	h := awaitHint(t, s, func(h Hint) bool { return h.Lost || names(name)(h) })
	if len(h.Disks) > MaxPending {
		t.Errorf("a hint with %d names", len(h.Disks))
	}
	last, _ := plug(t, stick(t))
	awaitHint(t, s, func(h Hint) bool { return h.Lost || names(last)(h) })
	if after := heap(); after > before+1<<20 {
		t.Errorf("%d bytes of heap, %d before", after, before)
	}
	t.Logf("%+v", s.Counters())
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestOtherSubsystemsAreNoHints: events that are not about block devices.
func TestOtherSubsystemsAreNoHints(t *testing.T) {
	need.Root(t)
	s := listen(t, Options{})
	name, _ := plug(t, stick(t))
	awaitHint(t, s, names(name))
	before := s.Counters()
	synthesize(t, "/sys/class/mem/null/uevent", "change", 100)
	synthesize(t, ueventOf(name), "change", 1)
	h := awaitHint(t, s, names(name))
	if slices.Contains(h.Disks, "null") {
		t.Errorf("%+v", h)
	}
	if after := s.Counters(); after.Events < before.Events+101 || after.Malformed != before.Malformed {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestNextObeysItsContext(t *testing.T) {
	s := listen(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for err := error(nil); !errors.Is(err, context.Canceled); {
		if _, err = s.Next(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

func TestCloseEndsNext(t *testing.T) {
	s := listen(t, Options{})
	go s.Close()
	for range 2 {
		var err error
		for err == nil {
			_, err = s.Next(context.Background())
		}
		if !errors.Is(err, ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
	}
	s.Close()
}

// TestNothingLeaks: descriptors and goroutines after many rounds are what they
// were after the first.
func TestNothingLeaks(t *testing.T) {
	round := func() {
		s, err := Listen(Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	round()
	files, goroutines := descriptors(t), runtime.NumGoroutine()
	for range 1000 {
		round()
	}
	for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // the last one is past its last word, but not yet gone
	}
	if f, g := descriptors(t), runtime.NumGoroutine(); f > files || g > goroutines {
		t.Errorf("%d descriptors, %d before; %d goroutines, %d before", f, files, g, goroutines)
	}
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
