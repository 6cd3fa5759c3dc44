// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var usbOnly = []string{BusUSB}

func scan(t *testing.T, root string, allow ...string) []Disk {
	t.Helper()
	disks, err := Scan(root, allow)
	if err != nil {
		t.Fatal(err)
	}
	return disks
}

func refresh(t *testing.T, root, name string, allow ...string) (Disk, bool) {
	t.Helper()
	d, ok, err := Refresh(root, name, allow)
	if err != nil {
		t.Fatal(err)
	}
	return d, ok
}

// TestScanOfCapturedTree: a hub with a stick and a reader, and a disk that
// speaks UAS; the reader's CD drive does not count.
func TestScanOfCapturedTree(t *testing.T) {
	root := plant(t, "usb")
	disks := scan(t, root, BusUSB)
	var got []string
	for _, d := range disks {
		polled := !needsPolling(blockDir(root).join(d.Name), sysDir(root), d.Removable)
		got = append(got, fmt.Sprintf("%s %d:%d seq %d size %d ro %v removable %v polled %v %s/%s %v, %d partitions",
			d.Name, d.Major, d.Minor, d.DiskSeq, d.Size, d.ReadOnly, d.Removable, polled, d.Vendor, d.Model, d.Interfaces, len(d.Partitions)))
	}
	want := []string{
		"sda 8:0 seq 1 size 67108864 ro true removable false polled true QEMU/QEMU HARDDISK [08], 0 partitions",
		"sdb 8:16 seq 2 size 67108864 ro false removable true polled false QEMU/QEMU HARDDISK [08], 12 partitions",
		"sdc 8:32 seq 3 size 67108864 ro false removable true polled false QEMU/QEMU HARDDISK [08], 0 partitions",
		"sdd 8:48 seq 5 size 67108864 ro false removable true polled false QEMU/QEMU HARDDISK [08], 2 partitions",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	const port = "/devices/platform/3f000000.pcie/pci0000:00/0000:00:01.0/usb1/1-1/1-1.1/1-1.1:1.0/host1/target1:0:0/1:0:0:0/block/sdb"
	if disks[1].DevPath != port || disks[1].Node() != "/dev/sdb" || disks[1].Bus != BusUSB {
		t.Errorf("sdb: %q %q %q", disks[1].DevPath, disks[1].Node(), disks[1].Bus)
	}
}

// TestPartitionsInNumberOrder: sdb10 is after sdb2, and its number is the
// kernel's, not read from the name.
func TestPartitionsInNumberOrder(t *testing.T) {
	d, _ := refresh(t, plant(t, "usb"), "sdb", BusUSB)
	for i, p := range d.Partitions {
		if p.Number != i+1 || p.Name != fmt.Sprintf("sdb%d", i+1) || p.Minor != uint32(16+i+1) && i < 15 {
			t.Errorf("%d: %+v", i, p)
		}
	}
	want := Partition{Name: "sdb10", Number: 10, Major: 8, Minor: 26, Size: 1 << 20}
	if len(d.Partitions) < 10 || d.Partitions[9] != want || want.Node() != "/dev/sdb10" {
		t.Errorf("got %+v", d.Partitions)
	}
}

func TestOtherBusesDoNotCount(t *testing.T) {
	root := plant(t, "usb")
	for _, allow := range [][]string{nil, {BusLoop}, {"sata"}} {
		if disks := scan(t, root, allow...); len(disks) != 0 {
			t.Errorf("%v: %v", allow, disks)
		}
	}
	// the same disk where no ancestor belongs to the usb subsystem, however it is named
	hub, _, _ := strings.Cut(at(t, root, "sda"), "/2-2/")
	for _, device := range []string{hub, hub + "/2-2"} {
		os.Remove(device + "/subsystem")
		link(t, device+"/subsystem", "../../../../bus/serial")
	}
	if _, ok := refresh(t, root, "sda", BusUSB); ok {
		t.Error("a disk below something named like a USB device counts")
	}
}

func TestHostileTrees(t *testing.T) {
	for name, c := range map[string]struct {
		change map[string]string // attribute of sdb: content
		want   string            // part of the error, or "gone" or "ok"
	}{
		"as captured":               {nil, "ok"},
		"no DISKSEQ, before 5.15":   {map[string]string{"diskseq": "-"}, "ok"},
		"no medium":                 {map[string]string{"size": "0\n"}, "ok"},
		"hidden":                    {map[string]string{"hidden": "1\n"}, "gone"},
		"optical":                   {map[string]string{"device/type": "5\n"}, "gone"},
		"write once":                {map[string]string{"device/type": "4\n"}, "gone"},
		"going: no size any more":   {map[string]string{"size": "-"}, "gone"},
		"a partition is going":      {map[string]string{"sdb3/partition": "-"}, "ok"},
		"a partition lost its dev":  {map[string]string{"sdb3/dev": "-"}, "ok"},
		"size with a sign":          {map[string]string{"size": "-1\n"}, "unexpected value"},
		"size beyond all disks":     {map[string]string{"size": "18014398509481984\n"}, "unexpected value"},
		"size of letters":           {map[string]string{"size": "many\n"}, "unexpected value"},
		"numbers of nothing":        {map[string]string{"dev": "\n"}, "unexpected value"},
		"numbers too large":         {map[string]string{"dev": "8:1048576\n"}, "unexpected value"},
		"partition without number":  {map[string]string{"sdb3/partition": "x\n"}, "unexpected value"},
		"write protection: maybe":   {map[string]string{"ro": "2\n"}, "unexpected value"},
		"long names":                {map[string]string{"device/model": strings.Repeat("ü", 500) + "\n"}, "ok"},
		"names with a newline":      {map[string]string{"device/model": "a\nb\x1b[31m\n"}, "ok"},
		"names that are not UTF-8":  {map[string]string{"device/vendor": "\xff\xfe\x00\n"}, "ok"},
		"attribute without its end": {map[string]string{"size": strings.Repeat("1", 1<<20)}, "unexpected value"},
	} {
		t.Run(name, func(t *testing.T) {
			root := plant(t, "usb")
			for attribute, content := range c.change {
				path := filepath.Join(at(t, root, "sdb"), attribute)
				os.Remove(path)
				if content != "-" {
					put(t, path, content)
				}
			}
			d, ok, err := Refresh(root, "sdb", usbOnly)
			got := "ok"
			if err != nil {
				got = err.Error()
			} else if !ok {
				got = "gone"
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if len(d.Model) > MaxText || len(d.Vendor) > MaxText {
				t.Errorf("%d bytes of model, %d of vendor", len(d.Model), len(d.Vendor))
			}
			disks, err := Scan(root, usbOnly) // the others are found all the same
			if len(disks) < 3 || (err == nil) != (got == "ok" || got == "gone") {
				t.Errorf("Scan: %d disks, %v", len(disks), err)
			}
		})
	}
}

func TestInterfacesOfTheWholeDevice(t *testing.T) {
	root := plant(t, "usb")
	stick := strings.TrimSuffix(at(t, root, "sdb"), "/1-1.1:1.0/host1/target1:0:0/1:0:0:0/block/sdb")
	put(t, stick+"/1-1.1:1.1/bInterfaceClass", "03\n") // a keyboard in the same device
	put(t, stick+"/1-1.1.4/bInterfaceClass", "0e\n")   // no interface of this device
	if d, _ := refresh(t, root, "sdb", BusUSB); !slices.Equal(d.Interfaces, []string{"03", "08"}) {
		t.Errorf("sdb: %q", d.Interfaces)
	}
	if d, _ := refresh(t, root, "sdc", BusUSB); !slices.Equal(d.Interfaces, []string{"08"}) {
		t.Errorf("sdc, on the same hub: %q", d.Interfaces)
	}
	for n := range MaxInterfaces {
		put(t, fmt.Sprintf("%s/1-1.1:2.%d/bInterfaceClass", stick, n), "08\n")
	}
	if _, _, err := Refresh(root, "sdb", usbOnly); err == nil || !strings.Contains(err.Error(), "more than 32") {
		t.Errorf("too many interfaces: %v", err)
	}
}

func TestLimitsOfATree(t *testing.T) {
	root := plantLoop(t, "loop0", nil)
	for n := 1; n <= MaxPartitions; n++ {
		p := fmt.Sprintf("%s/loop0p%d/", at(t, root, "loop0"), n)
		for attribute, value := range map[string]string{"partition": fmt.Sprint(n), "dev": fmt.Sprintf("259:%d", n), "size": "8", "ro": "0"} {
			put(t, p+attribute, value+"\n")
		}
	}
	if d, ok := refresh(t, root, "loop0", BusLoop); !ok || len(d.Partitions) != MaxPartitions {
		t.Errorf("%d partitions", len(d.Partitions))
	}
	for attribute, value := range map[string]string{"partition": "999", "dev": "259:999", "size": "8", "ro": "0"} {
		put(t, at(t, root, "loop0")+"/loop0p999/"+attribute, value+"\n")
	}
	if _, _, err := Refresh(root, "loop0", []string{BusLoop}); err == nil || !strings.Contains(err.Error(), "more than 256 partitions") {
		t.Errorf("one partition more: %v", err)
	}
	crowd := t.TempDir()
	for n := range MaxDisks + 1 {
		link(t, fmt.Sprintf("%s/sys/block/sd%d", crowd, n), "../devices/gone")
	}
	if _, err := Scan(crowd, usbOnly); err == nil || !strings.Contains(err.Error(), "more than 1024") {
		t.Errorf("one disk more: %v", err)
	}
}

func TestNamesThatAreNoDisks(t *testing.T) {
	root := plant(t, "usb")
	for _, name := range []string{"", ".", "..", "../devices", "sda/sda1", "sd\x00a", strings.Repeat("s", MaxName+1)} {
		if _, _, err := Refresh(root, name, usbOnly); err == nil || !strings.Contains(err.Error(), "not a disk's name") {
			t.Errorf("%q: %v", name, err)
		}
		if err := EnablePolling(root, Disk{Name: name}); err == nil {
			t.Errorf("polling of %q: no error", name)
		}
	}
	if d, ok := refresh(t, root, "sdq", BusUSB); ok {
		t.Errorf("sdq: %+v", d)
	}
	if got := (Disk{Name: "cciss!c0d0"}).Node(); got != "/dev/cciss/c0d0" {
		t.Errorf("node %s", got)
	}
}

func TestScanWithoutSysfs(t *testing.T) {
	if _, err := Scan(t.TempDir(), usbOnly); err == nil || !strings.HasPrefix(err.Error(), "scan block devices: ") {
		t.Errorf("%v", err)
	}
}

// TestLoopDevicesOfRAUCDoNotCount: a loop device with a backing file is a
// stick on a bench; those that hold a bundle are not.
func TestLoopDevicesOfRAUCDoNotCount(t *testing.T) {
	for name, c := range map[string]struct {
		change map[string]string
		want   bool
	}{
		"bench":                          {nil, true},
		"read-only bench":                {map[string]string{"ro": "1\n"}, true},
		"a file deleted since":           {map[string]string{"loop/backing_file": "/tmp/x (deleted)\n"}, true},
		"autoclear: mount -o loop, RAUC": {map[string]string{"loop/autoclear": "1\n"}, false},
		"part of a file: a bundle":       {map[string]string{"loop/sizelimit": "4096\n"}, false},
		"a bundle, autoclear not yet on": {map[string]string{"loop/backing_file": "/media/STICK/Firmware.IMAGE\n"}, false},
		"a bundle that was pulled":       {map[string]string{"loop/backing_file": "/srv/x.raucb (deleted)\n"}, false},
		"below dm-verity":                {map[string]string{"holders/dm-0/x": ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			root := plantLoop(t, "loop0", c.change)
			d, ok := refresh(t, root, "loop0", BusLoop)
			if ok != c.want || ok && (d.Bus != BusLoop || d.LoopFile == "" || d.Interfaces != nil) {
				t.Errorf("%v %+v", ok, d)
			}
			if _, ok := refresh(t, root, "loop0", BusUSB); ok {
				t.Error("counts as USB")
			}
		})
	}
	root := plantLoop(t, "loop0", nil)
	os.RemoveAll(at(t, root, "loop0") + "/loop") // nothing attached
	if _, ok := refresh(t, root, "loop0", BusLoop); ok {
		t.Error("an empty loop device counts")
	}
}

func TestSameInsertion(t *testing.T) {
	root := plant(t, "usb")
	before, _ := refresh(t, root, "sdb", BusUSB)
	again, _ := refresh(t, root, "sdb", BusUSB)
	if !before.SameInsertion(again) || !before.Equal(again) || !reflect.DeepEqual(before, again) {
		t.Error("the same disk is another")
	}
	for attribute, content := range map[string]string{"diskseq": "77\n", "size": "8\n"} {
		put(t, filepath.Join(at(t, root, "sdb"), attribute), content)
		changed, _ := refresh(t, root, "sdb", BusUSB)
		if changed.SameInsertion(again) {
			t.Errorf("%s changed, and it is the same insertion", attribute)
		}
		again = changed
	}
	os.RemoveAll(filepath.Join(at(t, root, "sdb"), "sdb7"))
	if fewer, _ := refresh(t, root, "sdb", BusUSB); !fewer.SameInsertion(again) || fewer.Equal(again) {
		t.Error("a partition less: the same insertion, but not equal")
	}
}

func TestUnchanged(t *testing.T) {
	root := plant(t, "usb")
	known, _ := refresh(t, root, "sdb", BusUSB)
	if !Unchanged(root, known) {
		t.Error("the same disk has changed")
	}
	for attribute, content := range map[string]string{"diskseq": "77\n", "size": "8\n", "dev": "8:160\n"} {
		put(t, filepath.Join(at(t, root, "sdb"), attribute), content)
		if Unchanged(root, known) {
			t.Errorf("%s changed, and the disk has not", attribute)
		}
		known, _ = refresh(t, root, "sdb", BusUSB)
	}
	if !Unchanged(root, known) {
		t.Error("the changed disk changes again")
	}
	gone, strange, loop := known, known, known
	gone.Name, strange.Name, loop.Bus = "sdz", "../sdb", BusLoop
	if Unchanged(root, gone) || Unchanged(root, strange) || Unchanged(root, loop) {
		t.Error("a disk that is not there, or is a loop device, is unchanged")
	}
}

func TestGlance(t *testing.T) {
	root := plant(t, "usb")
	for name, want := range map[string]bool{"sdb": true, "sdz": false, "../sdb": false} {
		if Glance(root, name) != want {
			t.Errorf("%s: not %v", name, want)
		}
	}
	sdb := devPath(dir{path: at(t, root, "sdb")})
	if !GlanceAt(root, sdb) || GlanceAt(root, sdb+"x") || GlanceAt(root, "/devices/virtual/block/loop0") {
		t.Errorf("at %s, beside it, and without USB: not as by name", sdb)
	}
	put(t, filepath.Join(at(t, root, "sdb"), "size"), "0\n")
	if Glance(root, "sdb") || GlanceAt(root, sdb) {
		t.Error("a reader without a medium looks like a stick")
	}
}
