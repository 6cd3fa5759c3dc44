// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestCapturedEvents: every datagram of a guest's and a bench's plugs and
// pulls names the disk it is about; those of USB devices name none.
func TestCapturedEvents(t *testing.T) {
	for file, want := range map[string][]string{"usb": {"sda", "sdb", "sdc", "sr0", "sdd"}, "loop": {"loop0"}} {
		var got []string
		for _, msg := range datagrams(t, file) {
			name, _, ok := blockEvent(msg)
			if ok != bytes.Contains(msg, subsystemBlock) {
				t.Errorf("%s: %q: %q %v", file, msg, name, ok)
			}
			if quick, sure := headName(msg); ok && (quick != name || !sure) {
				t.Errorf("%s: %q: %q %v at a glance, %q in earnest", file, msg, quick, sure, name)
			}
			if ok && !slices.Contains(got, name) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

func TestEventsThatNameNoDisk(t *testing.T) {
	const env = "\x00SUBSYSTEM=block\x00DEVTYPE=disk\x00"
	for name, msg := range map[string]string{
		"empty":              "",
		"nothing but NUL":    strings.Repeat("\x00", 100),
		"no header":          "SUBSYSTEM=block\x00",
		"no action":          "@/devices/block/sda" + env,
		"unknown action":     "explode@/devices/block/sda" + env,
		"no path":            "add@" + env,
		"root":               "add@/" + env,
		"dots":               "add@/devices/block/.." + env,
		"long name":          "add@/devices/block/" + strings.Repeat("s", MaxName+1) + env,
		"no equals sign":     "add@/devices/block/sda\x00SUBSYSTEM\x00",
		"another subsystem":  "add@/devices/block/sda\x00SUBSYSTEM=usb\x00",
		"partition of root":  "add@/sda1\x00SUBSYSTEM=block\x00DEVTYPE=partition\x00",
		"a message of udevd": "libudev\x00\xfe\xed\xca\xfe\x28\x00\x00\x00\x28\x00\x00\x00" + strings.Repeat("\x00", 20) + env,
	} {
		if disk, _, ok := blockEvent([]byte(msg)); ok {
			t.Errorf("%s: %q", name, disk)
		}
	}
}

// FuzzUEvent: no datagram does more than name one entry of /sys/block.
func FuzzUEvent(f *testing.F) {
	for _, file := range []string{"usb", "loop"} {
		for _, msg := range datagrams(f, file) {
			f.Add(msg)
			f.Add(msg[:len(msg)/2])
		}
	}
	f.Add(forged())
	f.Fuzz(func(t *testing.T, msg []byte) {
		headName(msg[:min(len(msg), peekSize)])
		name, announced, ok := blockEvent(msg)
		fields := msg[:bytes.LastIndexByte(msg, 0)+1]
		if announced != 0 && (!bytes.HasPrefix(msg, []byte("add@")) || bytes.Contains(fields, []byte("\x00SYNTH_UUID="))) {
			t.Errorf("%q announces no disk", msg)
		}
		if ok && !validName(name) {
			t.Errorf("%q", name)
		}
		if ok && !bytes.Contains(msg, []byte("block")) {
			t.Errorf("%q is no block device's event", msg)
		}
	})
}

// TestAnnouncements: only the add of a disk that the kernel sends of itself
// says that the partitions are there.
func TestAnnouncements(t *testing.T) {
	announced := make(map[string]uint64)
	for _, file := range []string{"usb", "loop"} {
		for _, msg := range datagrams(t, file) {
			if name, seq, _ := blockEvent(msg); seq != 0 {
				announced[name] = seq
			}
		}
	}
	if want := map[string]uint64{"sda": 1, "sdb": 2, "sdc": 3, "sr0": 4, "sdd": 5}; !maps.Equal(announced, want) {
		t.Errorf("announced %v, want %v", announced, want)
	}
	const env = "\x00SUBSYSTEM=block\x00DEVTYPE=disk\x00DISKSEQ=7\x00"
	for name, c := range map[string]struct {
		msg  string
		want uint64
	}{
		"the kernel's own":         {"add@/devices/block/sda" + env, 7},
		"asked for":                {"add@/devices/block/sda" + env + "SYNTH_UUID=0\x00", 0},
		"asked for with an id":     {"add@/devices/block/sda" + env + "SYNTH_UUID=fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed\x00", 0},
		"a change":                 {"change@/devices/block/sda" + env, 0},
		"a partition":              {"add@/devices/block/sda/sda1\x00SUBSYSTEM=block\x00DEVTYPE=partition\x00DISKSEQ=7\x00", 0},
		"a kernel without DISKSEQ": {"add@/devices/block/sda\x00SUBSYSTEM=block\x00DEVTYPE=disk\x00", 0},
		"no number":                {"add@/devices/block/sda\x00SUBSYSTEM=block\x00DEVTYPE=disk\x00DISKSEQ=x\x00", 0},
	} {
		if disk, seq, ok := blockEvent([]byte(c.msg)); disk != "sda" || seq != c.want || !ok {
			t.Errorf("%s: %q %d %v", name, disk, seq, ok)
		}
	}
}

// TestPartitionsFollow: the adds of the partitions that a disk came with say
// nothing new; any other event of it does.
func TestPartitionsFollow(t *testing.T) {
	const name = "sda"
	event := func(action, devpath, kind, diskSeq, seqNum, more string) []byte {
		return []byte(action + "@/devices/pci/usb1/block/" + devpath + "\x00ACTION=" + action + "\x00SUBSYSTEM=block\x00DEVTYPE=" + kind +
			"\x00DISKSEQ=" + diskSeq + "\x00SEQNUM=" + seqNum + "\x00" + more)
	}
	disk := event("add", name, "disk", "7", "1000", "")
	a := announcedBy(name, 7, disk)
	last := strconv.Itoa(1000 + maxFollowing)
	for what, c := range map[string]struct {
		msg  []byte
		want bool
	}{
		"its first partition":         {event("add", "sda/sda1", "partition", "7", "1001", "PARTN=1\x00"), true},
		"the last that may come":      {event("add", "sda/sda9", "partition", "7", last, ""), true},
		"one much later":              {event("add", "sda/sda9", "partition", "7", last+"0", ""), false},
		"one event too late":          {event("add", "sda/sda9", "partition", "7", strconv.Itoa(1001+maxFollowing), ""), false},
		"one from before":             {event("add", "sda/sda1", "partition", "7", "999", ""), false},
		"of another insertion":        {event("add", "sda/sda1", "partition", "8", "1001", ""), false},
		"of one that begins the same": {event("add", "sda/sda1", "partition", "77", "1001", ""), false},
		"asked for":                   {event("add", "sda/sda1", "partition", "7", "1001", "SYNTH_UUID=0\x00"), false},
		"the disk itself":             {disk, false},
		"a change of it":              {event("change", name, "disk", "7", "1001", ""), false},
		"a partition that goes":       {event("remove", "sda/sda1", "partition", "7", "1001", ""), false},
		"without a number":            {event("add", "sda/sda1", "partition", "7", "x", ""), false},
		"cut off in its number":       {bytes.TrimSuffix(event("add", "sda/sda1", "partition", "7", "1001", ""), []byte{0}), false},
	} {
		if got := a.tells(name, c.msg); got != c.want {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
	if a.tells("sdb", event("add", "sdb/sdb1", "partition", "7", "1001", "")) || (announced{}).tells("", event("add", "x/x1", "partition", "", "1", "")) {
		t.Error("another disk's")
	}
	if b := announcedBy(name, 7, event("add", name, "disk", "7", "none", "")); b.disk != "" {
		t.Errorf("a disk without SEQNUM: %+v", b)
	}
	latest, followed := announced{}, 0
	for _, msg := range datagrams(t, "usb") { // captured on a real machine
		disk, seq, ok := blockEvent(msg)
		switch {
		case ok && seq != 0:
			latest = announcedBy(disk, seq, msg)
		case ok && latest.tells(disk, msg):
			followed++
		}
	}
	if followed == 0 {
		t.Error("no partition of the captured events follows its disk")
	}
	t.Logf("%d of the captured events", followed)
}
