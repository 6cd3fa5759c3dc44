// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// ErrWriteProtected is wrapped by Write's error where the device cannot be
	// written; nothing was tried.
	ErrWriteProtected = errors.New("the device is write-protected")

	// ErrReadOnlyType is wrapped by Write's error for file systems that are
	// only ever read here; nothing was tried.
	ErrReadOnlyType = errors.New("is only ever read here")
)

// Write lets use write to the file system, below root, and makes everything
// durable that it wrote. What is mounted at Target stays read-only all the
// time: the file system becomes writable as a whole, but only through a mount
// of its own that is attached nowhere, with nosuid, nodev, noexec and no
// symbolic links followed, and that ends before Write returns. Then the file
// system is read-only again.
//
// Root belongs to Write; use closes what it opens below it. An error of use
// comes back as it is. Write blocks as long as the device does: the caller runs
// it where it can be abandoned. It may be called while Detach is.
func (x *Mount) Write(use func(root *os.File) error) error {
	switch {
	case x.Device.ReadOnly:
		return ErrWriteProtected
	case x.Type == "ntfs":
		return fmt.Errorf("%s %w", x.Type, ErrReadOnlyType)
	}
	root, err := x.holdRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := reconfigure(root, "rw"); err != nil {
		return fmt.Errorf("make %s writable: %w", x.Target, err)
	}
	return also(useWritable(root, use), x.end(root))
}

// end makes the file system read-only again.
func (x *Mount) end(root *os.File) error {
	if err := reconfigure(root, "ro"); err != nil {
		return fmt.Errorf("make %s read-only again: %w", x.Target, err)
	}
	return nil
}

// Protect makes a file system read-only that a run which ended in the middle
// of Write left writable. It does nothing to others, and does not touch the
// device then.
func (x *Mount) Protect() error {
	infos, err := mountsAt(x.Target)
	if err != nil {
		return err
	}
	if len(infos) == 0 || !slices.Contains(strings.Split(infos[len(infos)-1].VFSOptions, ","), "rw") {
		return nil
	}
	root, err := x.holdRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	return x.end(root)
}

// holdRoot returns a handle of the root that Detach does not close.
func (x *Mount) holdRoot() (*os.File, error) {
	if !x.mu.TryLock() {
		return nil, fmt.Errorf("%s is being detached", x.Target)
	}
	defer x.mu.Unlock()
	if x.detached {
		return nil, fmt.Errorf("%s is detached", x.Target)
	}
	fd, err := unix.FcntlInt(x.root.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s is detached: %w", x.Target, err)
	}
	return os.NewFile(uintptr(fd), x.Target), nil
}

// reconfigure sets a flag, "rw" or "ro", of the file system as a whole. The
// other options stay as they are.
func reconfigure(root *os.File, flag string) error {
	fs, err := unix.Fspick(int(root.Fd()), "", unix.FSPICK_CLOEXEC|unix.FSPICK_EMPTY_PATH|unix.FSPICK_NO_AUTOMOUNT)
	if err != nil {
		return err
	}
	defer unix.Close(fs)
	err = unix.FsconfigSetFlag(fs, flag)
	if err == nil {
		err = unix.FsconfigReconfigure(fs)
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, complaints(fs))
	}
	return nil
}

// useWritable calls use with the root of a writable mount, and syncs.
func useWritable(root *os.File, use func(*os.File) error) error {
	tree, err := cloneWritable(root)
	if err != nil {
		return err
	}
	defer tree.Close()
	if err := use(tree); err != nil {
		return err
	}
	// A mount's handle (O_PATH) cannot be synced.
	fd, err := unix.Openat(int(tree.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// cloneWritable makes a writable mount of the file system that is attached
// nowhere. Nothing that is mounted below root is part of it.
func cloneWritable(root *os.File) (*os.File, error) {
	fd, err := unix.OpenTree(int(root.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("writable mount: %w", err)
	}
	tree := os.NewFile(uintptr(fd), root.Name())
	const base = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	for _, set := range []uint64{base | unix.MOUNT_ATTR_NOSYMFOLLOW, base} { // the former since Linux 5.14
		attr := unix.MountAttr{Attr_set: set, Attr_clr: unix.MOUNT_ATTR_RDONLY, Propagation: unix.MS_PRIVATE}
		if err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	if err != nil {
		tree.Close()
		return nil, fmt.Errorf("writable mount: %w", err)
	}
	return tree, nil
}
