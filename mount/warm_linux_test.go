// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWarm: a device that nobody has mounted gets the block size that FAT's
// driver wants; one that somebody has mounted keeps its own,
// and is known by that.
func TestWarm(t *testing.T) {
	d := loop(t, mkfs(t, 64<<20, "mkfs.ext4", "-q", "-b", "4096"), false)
	blocks := func(want int, free bool) {
		t.Helper()
		f, err := openDevice(&d)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if warm(f) != free {
			t.Errorf("free: %v", !free)
		}
		if n, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKBSZGET); err != nil || n != want {
			t.Errorf("blocks of %d bytes, %v; want %d", n, err, want)
		}
	}
	blocks(blockSize, true)
	x := mounted(t, mounter(t), d)
	blocks(4096, false)
	if err := x.Detach(); err != nil {
		t.Fatal(err)
	}
	blocks(blockSize, true)
	if warm(os.Stdin) { // anything else is no concern of it
		t.Error("free, and no device")
	}
}
