// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"usbagent/test/board/marks"
	"usbagent/test/need"
)

// performanceVariable asks for the measurement (make bench); it names the page
// whose figures are replaced, or is "-".
const performanceVariable = "USBAGENT_PERFORMANCE"

// RunsVariable changes how often each way is measured.
const runsVariable = "USBAGENT_PERFORMANCE_RUNS"

const defaultRuns = 10

// instructions has QEMU's clock count instructions, two nanoseconds each, so
// that the host's speed and load hardly matter.
var instructions = []string{"-icount", "shift=1"}

// TestPerformance measures what happens to a stick and when: by the agent, by
// the shell implementation in baseline/, and by the floor. It is no test of
// time: it fails only where nothing could be measured.
func TestPerformance(t *testing.T) {
	page := os.Getenv(performanceVariable)
	if page == "" {
		need.Measurement(t, "make bench")
	}
	runs := defaultRuns
	if n, err := strconv.Atoi(os.Getenv(runsVariable)); err == nil && n > 0 {
		runs = n
	}
	s := newStation(t)
	f := figures{Idle: s.idle(), Ways: map[string][]run{}}
	for i := range runs {
		for _, way := range []string{"usbagent", "shell", "floor"} {
			r := s.measure(way)
			t.Logf("%s %d: %s", way, i+1, r)
			f.Ways[way] = append(f.Ways[way], r)
		}
		if page != "-" { // after each round: it takes an hour
			if err := ofSticks.replace(page, f.String()); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Log("\n" + f.String())
}

// run is one stick.
type run struct {
	marks.Result
	BytesRead int64 // from the stick
	Files     int64 // bytes of its files
	Peak      int64 // resident bytes of the agent, at most
}

func (r run) String() string {
	text, _ := json.Marshal(r.Marks)
	return fmt.Sprintf("%s %d of %d bytes, peak %d\nuntil the script: %s\nuntil InstallBundle: %s",
		text, r.BytesRead, r.Files, r.Peak, marks.Shares(r.Ran), marks.Shares(r.RanLater))
}

// station is a settled board that counts instructions, with all three ways on
// it, and the stick that it gets.
type station struct {
	t     *testing.T
	fw    *Firmware
	snap  Snapshot
	stick string // its image
	files int64
}

// newStation builds the board without a watch on its LED: asking QEMU for the
// register would stop the machine each time.
func newStation(t *testing.T) *station {
	t.Helper()
	p := parts{}
	var err error
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p.cache, err = OpenCache()
	check(err)
	fw, err := BuildFirmware(p.cache)
	check(err)
	p.agent, err = BuildAgent(p.cache, "arm")
	check(err)
	p.slot, err = SlotImage(p.cache, fw, p.agent)
	check(err)
	p.card, err = NewCard(p.cache, fw, p.agent)
	check(err)
	dark := *fw
	dark.ledRegister, p.fw = 0, &dark
	s := &station{t: t, fw: p.fw}
	s.snap, err = s.settled(p)
	check(err)
	s.makeStick(p)
	return s
}

// tools are what is installed beside the agent, by its path on the board.
func (s *station) tools(dir string) ([]File, error) {
	var files []File
	floor := filepath.Join(dir, "floor")
	if err := goBuild(floor, "arm", "usbagent/test/board/floor"); err != nil {
		return nil, err
	}
	files = append(files, File{Name: "floor", Path: floor})
	for _, name := range []string{"usb-stick", "usb-stick@.service", "90-usb-stick.rules", "steps/10-keyring", "steps/20-autorun", "steps/30-image"} {
		files = append(files, File{Name: filepath.Base(name), Path: filepath.Join("baseline", name)})
	}
	return files, nil
}

// prepare puts the tools where they belong; nothing of the shell's way is in
// force yet.
const prepare = `set -e
i=0; while [ ! -b /dev/sda ]; do i=$((i+1)); [ $i -lt 300 ]; sleep 0.1; done
mkdir -p /run/tools /usr/local/lib/usb-stick/steps /etc/usbagent /usr/local/bin
mount -o ro /dev/sda /run/tools
cd /run/tools
install -m 0755 floor /usr/local/bin
install -m 0755 usb-stick /usr/local/lib/usb-stick
install -m 0755 10-keyring 20-autorun 30-image /usr/local/lib/usb-stick/steps
install -m 0644 usb-stick@.service 90-usb-stick.rules /usr/local/lib/usb-stick
cd /; umount /run/tools; rmdir /run/tools
echo '[installer]
reboot = false' >/etc/usbagent/config.toml
usbagent run --check-config
sync`

// settled is the board at rest, two minutes after a boot that was measured.
func (s *station) settled(p parts) (Snapshot, error) {
	tools := s.t.TempDir()
	files, err := s.tools(tools)
	if err != nil {
		return Snapshot{}, err
	}
	inputs := []string{p.card, prepare, "3"}
	for _, f := range files {
		data, err := os.ReadFile(f.Path)
		if err != nil {
			return Snapshot{}, err
		}
		inputs = append(inputs, string(data))
	}
	dir, err := p.cache.Layer("performance", inputs, func(dir string) error {
		b, err := Boot(s.fw, p.card, func(b *Board) { b.args, b.Log = instructions, s.t.Logf })
		if err != nil {
			return err
		}
		defer b.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
		defer cancel()
		if err := b.AwaitBoot(ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, tail(b.Console(0), 4000))
		}
		idle, err := atRest(ctx, b, files)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, tail(b.Console(0), 4000))
		}
		text, err := json.Marshal(idle)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "idle.json"), text, 0o644); err != nil {
			return err
		}
		_, err = b.Save(dir)
		return err
	})
	return Snapshot{dir}, err
}

// makeStick makes the stick with everything: a keyring, a script whose first
// line tells, and an image for the customer's keyring.
func (s *station) makeStick(p parts) {
	s.t.Helper()
	rootfs, content := filepath.Join(s.t.TempDir(), "rootfs.ext4"), s.t.TempDir()
	random := make([]byte, 1<<20) // what is empty would not fill a bundle
	rand.Read(random)
	if err := os.WriteFile(filepath.Join(content, "random"), random, 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := command(nil, "mke2fs", "-q", "-t", "ext4", "-d", content, rootfs, "8M"); err != nil {
		s.t.Fatal(err)
	}
	bundle := Bundle{Signer: p.fw.PKI.CustomerImages, Format: "verity", Version: "2", Image: rootfs}
	image := filepath.Join(s.t.TempDir(), "update.image")
	if err := bundle.Write(image); err != nil {
		s.t.Fatal(err)
	}
	files := append(rotation(s.t, p), signed(s.t, p.fw.PKI.Customer, "autorun.sh", []byte("#!/bin/sh\necho script >/sys/kernel/tracing/trace_marker\n"))...)
	files = append(files, File{Name: "update.image", Path: image})
	for _, f := range files {
		s.files += int64(len(f.Data))
		if info, err := os.Stat(f.Path); f.Path != "" && err == nil {
			s.files += info.Size()
		}
	}
	s.stick = filepath.Join(s.t.TempDir(), "stick.img")
	if err := WriteStick(s.stick, "mbr", Part{FileSystem: FileSystem{Type: "fat32", Label: "UPDATE", Files: files}}); err != nil {
		s.t.Fatal(err)
	}
}

// ways prepares the board for one way, and says how the end shows on its
// console, where the journal goes.
var ways = map[string]struct{ prepare, end string }{
	"usbagent": {"systemctl is-active usbagent", "stick finished"},
	"shell": {`systemctl stop usbagent
cp /usr/local/lib/usb-stick/90-usb-stick.rules /etc/udev/rules.d/
cp /usr/local/lib/usb-stick/usb-stick@.service /etc/systemd/system/
mkdir -p /run/systemd/system/usb-stick@.service.d
printf '[Service]\nEnvironment=USB_STICK_REBOOT=true\n' >/run/systemd/system/usb-stick@.service.d/reboot.conf
systemctl daemon-reload; udevadm control --reload`, "Finished usb-stick@"},
	"floor": {"systemctl stop usbagent; systemd-run --unit=floor /usr/local/bin/floor", "floor.service: Deactivated"},
}

// startTrace has the kernel take down what happens (Documentation/trace: ftrace.rst,
// kprobetrace.rst). Two places have no event of their own: disk_uevent tells user
// space of a disk and its partitions, do_renameat2 gives a file a new name; the
// registers are those of the procedure call standard, and a disk's name stands
// behind three numbers in its struct gendisk.
const startTrace = `set -e
[ -e /sys/kernel/tracing/trace ] || mount -t tracefs tracefs /sys/kernel/tracing
cd /sys/kernel/tracing
echo 0 >tracing_on
echo 24576 >buffer_size_kb
echo 'p:bench/uevent disk_uevent action=%r1:u32 name=+12(%r0):string' >>kprobe_events
echo 'p:bench/rename do_renameat2 to=+0(+0(%r3)):string' >>kprobe_events
for event in bench/uevent bench/rename gpio/gpio_value syscalls/sys_exit_mount syscalls/sys_exit_move_mount \
	task/task_newtask task/task_rename sched/sched_switch; do
	echo 1 >events/$event/enable
done
echo >trace
sync
sleep 2
echo 1 >tracing_on`

// measure plugs the stick into a fresh board.
func (s *station) measure(way string) run {
	t := s.t
	t.Helper()
	b, err := Resume(s.fw, s.snap, func(b *Board) { b.args, b.Log = instructions, func(string, ...any) {} })
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Board: b, parts: parts{fw: s.fw}, t: t}
	defer b.Close()
	r.sh(ways[way].prepare)
	r.sh(startTrace)
	image := filepath.Join(r.dir, "stick.img")
	if err := copySparse(image, s.stick); err != nil {
		t.Fatal(err)
	}
	since := r.ConsoleSize()
	r.plug(NewStick(image))
	deadline := time.Now().Add(8 * time.Minute)
	for !strings.Contains(r.Console(since), ways[way].end) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: no end\n%s", way, tail(r.Console(since), 4000))
		}
		time.Sleep(200 * time.Millisecond)
	}
	time.Sleep(time.Second)
	result := run{Files: s.files}
	if result.Result, err = r.trace(); err != nil {
		t.Fatal(err)
	}
	if result.Lost || result.Marks["led"].At == 0 {
		t.Errorf("%s: the trace is not complete: %+v\n%s", way, result.Result, tail(r.Console(since), 3000))
	}
	sectors, _ := strconv.ParseInt(r.sh("cut -c1-60 /sys/block/sda/stat | awk '{print $3}'"), 10, 64)
	result.BytesRead = sectors * 512
	if way == "usbagent" {
		result.Peak = number(r.sh("cat /proc/$(systemctl show -P MainPID usbagent)/status"), "VmHWM:") << 10
	}
	return result
}

// trace ends the trace and reads it.
func (r *rig) trace() (marks.Result, error) {
	r.sh("cd /sys/kernel/tracing; echo 0 >tracing_on; gzip -1 <trace >/run/trace.gz")
	text, err := gzip.NewReader(strings.NewReader(r.file("/run/trace.gz")))
	if err != nil {
		return marks.Result{}, err
	}
	return marks.Read(text)
}

// number reads the number after a word.
func number(text, word string) int64 {
	_, rest, _ := strings.Cut(text, word)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64)
	return n
}
