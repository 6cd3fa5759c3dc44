// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package durable

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// Open opens the regular file path without following a symbolic link in its
// last part and without waiting for the other end of a FIFO. flag is as for
// os.OpenFile. Anything but a regular file gives ErrIrregular.
func Open(path string, flag int, perm os.FileMode) (*os.File, error) {
	return openRegular(path, flag|syscall.O_NOFOLLOW, perm)
}

// OpenThrough opens the regular file path for reading, as Open does, but
// follows symbolic links. See CheckWay.
func OpenThrough(path string) (*os.File, error) {
	return openRegular(path, os.O_RDONLY, 0)
}

func openRegular(path string, flag int, perm os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK|syscall.O_CLOEXEC, perm)
	if err != nil {
		if info, statErr := os.Lstat(path); statErr == nil && !info.Mode().IsRegular() && flag&syscall.O_NOFOLLOW != 0 {
			return nil, fmt.Errorf("open %s: %w (%v)", path, ErrIrregular, info.Mode())
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open %s: %w (%v)", path, ErrIrregular, info.Mode())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Lock takes the lock on the file path, which it makes where it is missing,
// and returns what gives it back. Two holders exclude each other, in one
// process and in several; a process that dies gives it back. After wait, the
// error says that somebody else holds it. The directory of path must be one
// that only root can enter: anybody who can open the file can hold the lock.
func Lock(path string, wait time.Duration) (unlock func(), err error) {
	f, err := Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	for end := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR || time.Now().After(end) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}
