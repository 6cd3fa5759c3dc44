// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"slices"
)

// Filesystems are the types that can be mounted, as [Superblock].Type names them.
var Filesystems = []string{"ext2", "ext3", "ext4", "vfat", "exfat", "ntfs"}

// Device is a block device as sysfs described it.
type Device struct {
	Name     string // as in /sys/class/block: sda1
	Path     string // the node: /dev/sda1
	Major    uint32
	Minor    uint32
	DiskSeq  uint64 // of the whole disk; 0 where the kernel (before 5.15) has none: not checked then
	ReadOnly bool   // write-protected
	Size     int64  // bytes; 0: ask the device
}

// Options are the settings of a [Mounter].
type Options struct {
	// Root is the directory that the mount points are made in, absolute. It
	// is made where it is missing. Others may write to it only where it is
	// root's and sticky.
	Root string

	// Fmask and Dmask are the permission bits taken away from files and
	// directories of file systems without owners (FAT, exFAT, NTFS).
	Fmask, Dmask uint32

	// Filesystems is the allow-list of types; nil allows all of the package's
	// Filesystems.
	Filesystems []string

	// RunDir is the directory of mounts.json, by which Recover finds the
	// mounts of a crashed run: on a tmpfs, since no mount outlives a boot.
	// Empty: nothing is recorded.
	RunDir string

	// NTFS3G is the absolute path of ntfs-3g. Empty: the usual places.
	NTFS3G string

	// Helper is the command that calls ConfinedMain with the arguments that
	// follow. Empty: this program with the argument "confined-ntfs-3g".
	Helper []string
}

// allows reports whether the allow-list has fstype.
func (o Options) allows(fstype string) bool {
	return o.Filesystems == nil || slices.Contains(o.Filesystems, fstype)
}

var (
	// ErrMounted is wrapped by Mount's error where the device is mounted
	// already, by somebody else: it is left alone.
	ErrMounted = errors.New("already mounted")

	// ErrReplaced is wrapped by Mount's error where the node now belongs to
	// another device or another medium than the one that was seen.
	ErrReplaced = errors.New("another device or medium by now")

	// ErrNotAllowed is wrapped by Mount's error where Options.Filesystems
	// does not list the file system.
	ErrNotAllowed = errors.New("mount.filesystems does not allow this file system")

	// ErrNoDriver is wrapped by Mount's error where the kernel has no driver
	// for the file system (and, for NTFS, ntfs-3g is not installed either).
	ErrNoDriver = errors.New("no driver for this file system")
)
