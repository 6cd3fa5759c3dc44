// SPDX-License-Identifier: GPL-3.0-or-later

// Package detach takes away a mount that is in use, so that what is mounted
// below it stays where it is for those who use it.
//
// A lazy unmount (umount2(2), MNT_DETACH) disconnects the mounts below from
// each other: a process whose working directory is there suddenly sees through
// the mounts to what they covered. For a stick with a running script that is a
// hole: the verified copy lies as a mount over autorun.sh, and a device that
// only pretends to be gone could hand out other bytes under that name.
//
// The kernel does leave mounts connected when their mount point itself goes:
// since Linux 3.18, removing a directory that is a mount point in other mount
// namespaces only, takes those mounts away as a whole (fs/namespace.c,
// __detach_mounts, UMOUNT_CONNECTED). Connected therefore removes the
// directory from within a mount namespace of its own where nothing lies on it.
//
// Not for mounts that nobody uses: umount2(2) without flags says so when
// somebody does, and keeps the directory.
package detach

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// maxStacked bounds how many mounts on one directory are taken away.
const maxStacked = 256

// Connected takes every mount on the directory target, and all below them, out
// of every mount namespace, and removes the directory. Processes that use them
// go on seeing them as they were, connected, until the last is gone.
// The directory below the mounts must be empty. Needs CAP_SYS_ADMIN; does not
// wait for the device.
func Connected(target string) error {
	done := make(chan error, 1)
	go onThrowawayThread(func() { done <- removeBelow(target) })
	if err := <-done; err != nil {
		return fmt.Errorf("detach %s: %w", target, err)
	}
	return nil
}

// onThrowawayThread runs f on a thread that ends with the calling goroutine.
// Never on the first thread of the process: the runtime cannot end that one,
// and /proc/self shows its mount namespace.
func onThrowawayThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return // still locked, so the thread ends
	}
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	go func() { // elsewhere, since this thread is taken
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// removeBelow runs on a thread that ends afterwards.
func removeBelow(target string) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	// What is unmounted here must stay mounted everywhere else.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the new mount namespace private: %w", err)
	}
	for range maxStacked + 1 { // the last one finds that there is none
		err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) {
			return unix.Rmdir(target) // no mount point any more
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d mounts on it", maxStacked)
}
