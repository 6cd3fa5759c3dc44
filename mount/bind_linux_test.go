// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// cacheTime is longer than a FUSE server lets the kernel keep a name by
// default (1 s, libfuse's entry_timeout). For a mount that is read-only ntfs-3g
// asks for 600 s itself (TIMEOUT_RO in its ntfs-3g.c), after all other options.
const cacheTime = 2500 * time.Millisecond

// TestBindOnNTFS3GStays: what lies over a file of the stick, the verified copy
// of a script, is not taken away when the kernel asks ntfs-3g for the name
// again and gets another answer: the stick would decide what is executed.
func TestBindOnNTFS3GStays(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ntfs-3g")
	image := ntfsStick(t, "STICK")
	d := loop(t, image, false)
	x := mounted(t, mounter(t), d)
	name, cover := filepath.Join(x.Target, "Größe.txt"), filepath.Join(t.TempDir(), "cover")
	write(t, cover, []byte("verified"))
	if err := unix.Mount(cover, name, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(name, unix.MNT_DETACH) })
	see := func(what string) {
		t.Helper()
		if b, err := os.ReadFile(name); err != nil || string(b) != "verified" {
			t.Errorf("%s: the name holds %q, %v", what, b, err)
		}
	}
	see("at once")
	time.Sleep(cacheTime)
	see("later")

	// The device says that the file is gone, then that it is there again.
	records := fileRecords(t, d.Path)
	corrupt(t, d.Path, records, []byte("BAAD"))
	time.Sleep(cacheTime)
	see("while the device says that the file is damaged")
	corrupt(t, d.Path, records, []byte("FILE"))
	time.Sleep(cacheTime)
	see("when the device has changed its mind")
}

// fileRecords finds the places of the MFT records that name the file.
func fileRecords(t *testing.T, device string) (at []int64) {
	t.Helper()
	data, err := os.ReadFile(device)
	if err != nil {
		t.Fatal(err)
	}
	var name []byte
	for _, r := range "Größe.txt" {
		name = append(name, byte(r), byte(r>>8))
	}
	for begin := 0; ; {
		i := bytes.Index(data[begin:], name)
		if i < 0 {
			break
		}
		record := (begin + i) / 1024 * 1024
		if string(data[record:record+4]) == "FILE" {
			at = append(at, int64(record))
		}
		begin += i + len(name)
	}
	if len(at) == 0 {
		t.Fatal("no record of the file: nothing would be proven")
	}
	return at
}

func corrupt(t *testing.T, device string, at []int64, word []byte) {
	t.Helper()
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, a := range at {
		if _, err := f.WriteAt(word, a); err != nil {
			t.Fatal(err)
		}
	}
}
