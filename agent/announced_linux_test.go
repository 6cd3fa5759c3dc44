// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/internal/logs"
	"usbagent/led"
	"usbagent/mount"
	"usbagent/netlink"
	"usbagent/test/need"
)

// partitionedLoop attaches a disk with one partition, an ext4, and returns it
// as netlink reads it.
func partitionedLoop(t *testing.T) netlink.Disk {
	t.Helper()
	need.Root(t)
	run := func(stdin string, argv ...string) string {
		t.Helper()
		cmd := exec.Command(need.Tool(t, argv[0]), argv[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v", argv, err)
		}
		return strings.TrimSpace(string(out))
	}
	image := filepath.Join(t.TempDir(), "stick.img")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 8<<20)); err != nil {
		t.Fatal(err)
	}
	run("label: dos\n2048,\n", "sfdisk", "-q", image)
	run("", "mke2fs", "-q", "-t", "ext4", "-L", "DATA", "-E", "offset=1048576", image, "7M")
	node := run("", "losetup", "--find", "--show", "--partscan", image)
	t.Cleanup(func() {
		_ = exec.Command("partx", "--delete", node).Run()
		run("", "losetup", "--detach", node)
	})
	run("", "partx", "--update", node)
	disk, ok, err := netlink.Refresh("", filepath.Base(node), []string{netlink.BusLoop})
	if err != nil || !ok || len(disk.Partitions) != 1 {
		t.Fatalf("%v %v %+v", ok, err, disk)
	}
	return disk
}

// announcedStick is a stick on disk that was just announced, and its agent.
func announcedStick(t *testing.T, disk netlink.Disk) (*Agent, *stick) {
	t.Helper()
	a, s := idle(t)
	a.Config.Devices.Allow = []string{netlink.BusLoop}
	m, err := mount.New(mount.Options{Root: filepath.Join(t.TempDir(), "media")})
	if err != nil {
		t.Fatal(err)
	}
	a.mounter, s.disk, s.complete = m, disk, true
	s.late = func() {}
	t.Cleanup(func() { s.drop(); a.detach(s); a.detaching.Wait() })
	return a, s
}

// TestAnnouncedIsMountedAtOnce: the partitions of a disk that was announced
// are mounted without a look at the disk, which would not work here.
func TestAnnouncedIsMountedAtOnce(t *testing.T) {
	disk := partitionedLoop(t)
	disk.Name = "nodisk"
	a, s := announcedStick(t, disk)
	if err := a.mountAll(s); err != nil || len(s.volumes) != 1 || s.volumes[0].device != disk.Partitions[0].Name || !s.complete {
		t.Errorf("%v: %d volumes", err, len(s.volumes))
	}
	a, s = announcedStick(t, disk)
	s.complete = false
	if err := a.mountAll(s); !errors.Is(err, unix.ENOENT) || len(s.volumes) != 0 {
		t.Errorf("not announced: %v, %d volumes", err, len(s.volumes))
	}
}

// TestAnnouncedButOthersByNow: what was there when the disk was announced
// cannot be mounted any more; the disk is looked at, and what is there now is.
func TestAnnouncedButOthersByNow(t *testing.T) {
	disk := partitionedLoop(t)
	for name, was := range map[string]netlink.Partition{
		"gone":           {Name: disk.Name + "p7", Number: 7, Major: 259, Minor: 1 << 19, Size: 1 << 20},
		"another device": {Name: disk.Partitions[0].Name, Number: 1, Major: 259, Minor: 1 << 19, Size: 1 << 20},
	} {
		then := disk
		then.Partitions = []netlink.Partition{was}
		a, s := announcedStick(t, then)
		if err := a.mountAll(s); err != nil || len(s.volumes) != 1 || s.volumes[0].device != disk.Partitions[0].Name || s.complete {
			t.Errorf("%s: %v, %d volumes", name, err, len(s.volumes))
		}
		s.drop()
		a.detach(s)
		a.detaching.Wait()
	}
}

// TestAnnouncementOfAnotherMedium: an announcement is about one medium with
// partitions; everything else is looked at.
func TestAnnouncementOfAnotherMedium(t *testing.T) {
	some := []netlink.Partition{{Name: "sdx1", Number: 1}}
	for _, c := range []struct {
		disk      netlink.Disk
		announced uint64
		complete  bool
	}{
		{netlink.Disk{DiskSeq: 7, Partitions: some}, 7, true},
		{netlink.Disk{DiskSeq: 8, Partitions: some}, 7, false}, // exchanged since
		{netlink.Disk{DiskSeq: 7, Partitions: some}, 0, false}, // a scan, a change, an add that was asked for
		{netlink.Disk{DiskSeq: 0, Partitions: some}, 0, false}, // a kernel that has no such numbers
		{netlink.Disk{DiskSeq: 7}, 7, false},                   // a file system on the whole disk, or a table that was not read
	} {
		if got := complete(c.disk, c.announced); got != c.complete {
			t.Errorf("%+v, announced %d: %v", c.disk, c.announced, got)
		}
	}
}

// TestStatusHold: status.json is not written while something else is urgent,
// for StatusHold at most.
func TestStatusHold(t *testing.T) {
	f := newStatusFile(filepath.Join(t.TempDir(), "status.json"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { f.follow(ctx, logs.NewNop()); close(ended) }()
	defer func() { cancel(); <-ended }()
	written := make(chan time.Time, 1)
	shown := func() Status { written <- time.Now(); return Status{} }

	one, two := f.hold(), f.hold()
	begun := time.Now()
	f.poke(shown)
	if took := (<-written).Sub(begun); took < StatusHold {
		t.Errorf("written after %v, while it was held", took)
	}
	f.poke(shown)
	one()
	one()
	select {
	case <-written:
		t.Error("written while another holds it")
	case <-time.After(StatusHold / 10):
	}
	two()
	<-written
	f.poke(shown)
	<-written
}

// shown is a LED that remembers.
type shown struct{ last led.Pattern }

func (s *shown) Show(p led.Pattern) { s.last = p }

// TestGreet: the LED is on for what looks like a stick before anybody has
// looked at it, and off again where it was none.
func TestGreet(t *testing.T) {
	a, s := idle(t)
	light := &shown{}
	a.Light = light
	stick := func() bool { return true }
	if a.greet("sdx", true, func() bool { return false }) || light.last.Kind == led.On {
		t.Error("greeted what is no stick")
	}
	if !a.greet("sdx", true, stick) || light.last.Kind != led.On || a.greet("sdx", true, stick) {
		t.Errorf("not greeted once: %+v", light.last)
	}
	if !a.greeted("sdx") || a.greeted("sdx") {
		t.Error("who looks at the disk does not learn once that it was greeted")
	}
	a.dismiss("sdx")
	if light.last.Kind != led.Off {
		t.Errorf("it was none: %+v", light.last)
	}
	a.greet("sdx", true, stick)
	a.dismissAll() // the event was lost
	if light.last.Kind != led.Off || a.greeted("sdx") {
		t.Errorf("its event was lost: %+v", light.last)
	}
	a.sticks = append(a.sticks, s)
	if a.greet("sdy", true, stick) {
		t.Error("the LED shows something else already")
	}
	a.sticks, a.Config.Devices.Allow = nil, []string{netlink.BusLoop}
	if a.greet("sdy", true, stick) {
		t.Error("USB is not allowed")
	}
}
