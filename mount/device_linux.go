// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openDevice opens the node of d for reading, checks that it is d, and fills
// in what the device knows better: its size and whether it can be written.
func openDevice(d *Device) (*os.File, error) {
	fd, err := unix.Open(d.Path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	f := os.NewFile(uintptr(fd), d.Path)
	if err := checkDevice(f, *d); err != nil {
		f.Close()
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("size: %w", err)
	}
	d.Size = size
	if ro, err := unix.IoctlGetInt(fd, unix.BLKROGET); err == nil && ro != 0 {
		d.ReadOnly = true
	}
	return f, nil
}

// blockSize is the unit in bytes in which FAT's driver reads a device.
const blockSize = 512

// head is how much of the start of a device, in bytes, is read at once: most of
// the places where Probe looks, and where FAT's and exFAT's drivers look after
// it.
const head = 36 << 10

// warm has the kernel begin to read the start of a device, and keep it for the
// driver: it forgets what it has read of a device where a file system has
// blocks of another size, and would read it all again. Devices with larger
// blocks and such as are in use refuse that; nothing here has to work.
//
// free says that the device is not in use: the kernel sets the size for who
// could claim the device alone (block/ioctl.c, blkdev_bszset), and a mounted
// file system has claimed it.
func warm(f *os.File) (free bool) {
	fd := int(f.Fd())
	free = unix.IoctlSetPointerInt(fd, unix.BLKBSZSET, blockSize) == nil
	_ = unix.Fadvise(fd, 0, head, unix.FADV_WILLNEED)
	return free
}

// checkDevice compares an open node with d: a block device with d's number,
// and still the medium with d's DISKSEQ.
func checkDevice(f *os.File, d Device) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK || st.Rdev != unix.Mkdev(d.Major, d.Minor) {
		return fmt.Errorf("%w: the node is not block device %d:%d", ErrReplaced, d.Major, d.Minor)
	}
	if d.DiskSeq == 0 {
		return nil
	}
	seq, err := diskSeq(f)
	if err != nil {
		return fmt.Errorf("disk sequence number: %w", err)
	}
	if seq != d.DiskSeq {
		return fmt.Errorf("%w: disk sequence number %d, expected %d", ErrReplaced, seq, d.DiskSeq)
	}
	return nil
}

// diskSeq asks for the number that no two insertions in one boot share.
func diskSeq(f *os.File) (uint64, error) {
	var seq uint64
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKGETDISKSEQ, uintptr(unsafe.Pointer(&seq))); errno != 0 {
		return 0, errno
	}
	return seq, nil
}

// sameDevice proves that the file system behind root lies on d.
func sameDevice(root *os.File, d Device) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return fmt.Errorf("stat the mount: %w", err)
	}
	if uint64(st.Dev) != unix.Mkdev(d.Major, d.Minor) {
		return fmt.Errorf("%w: the mount is of %d:%d, not of %d:%d", ErrReplaced,
			unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), d.Major, d.Minor)
	}
	return nil
}
