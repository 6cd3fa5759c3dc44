// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// SyncDir makes the names in the directory dir durable.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// CheckDir returns an error that wraps ErrExposed unless dir and every
// directory above it belong to root or to the effective user and cannot be
// written by anybody else (the group root is root). Sticky directories of root's (such as /tmp) count
// as safe above dir, not as dir itself. Symbolic links on the way are
// followed when they belong to root or the effective user; the directories
// that hold them and that they lead through are checked in the same way.
func CheckDir(dir string) error { return checkPath(dir, true) }

// PrivateDir makes dir, where it is missing, as a directory that only its
// owner can enter (0700), and an existing one such a directory. The error
// wraps ErrExposed when dir, or its place, belongs to somebody else.
func PrivateDir(dir string) error {
	if err := MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := checkPath(dir, false); err != nil {
		return err
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", dir, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = checkOwner(dir, info)
	}
	if err == nil && info.Mode().Perm() != 0o700 {
		err = f.Chmod(0o700)
	}
	if err != nil {
		return fmt.Errorf("make directory %s private: %w", dir, err)
	}
	return nil
}

// CheckWay returns an error that wraps ErrExposed unless every directory and
// every symbolic link on the way to the file path, the last part included, is
// as CheckDir demands of what lies above its directory. The file itself is not
// looked at; see CheckFile.
func CheckWay(path string) error {
	abs, err := filepath.Abs(path)
	if err == nil {
		err = walkPath(abs, false)
	}
	if err != nil {
		return fmt.Errorf("check the way to %s: %w", path, err)
	}
	return nil
}

// maxLinks is how many symbolic links checkPath follows, as the kernel does
// (path_resolution(7)).
const maxLinks = 40

// checkPath checks the way to dir, and dir itself where last is true.
func checkPath(dir string, last bool) error {
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = walkPath(abs, last)
	}
	if err != nil {
		return fmt.Errorf("check directory %s: %w", dir, err)
	}
	return nil
}

// walkPath goes from the root directory to abs, link by link.
func walkPath(abs string, last bool) error {
	at, rest, links := "/", split(abs), 0
	for {
		if len(rest) == 0 {
			if last {
				return checkOne(at, true)
			}
			return nil
		}
		if err := checkOne(at, false); err != nil {
			return err
		}
		next := filepath.Join(at, rest[0]) // at is without links, so ".." is its parent
		rest = rest[1:]
		info, err := os.Lstat(next)
		if err != nil {
			return err
		}
		if info.Mode()&os.ModeSymlink == 0 {
			at = next
			continue
		}
		if err := checkOwner(next, info); err != nil {
			return err
		}
		target, err := os.Readlink(next)
		if errors.Is(err, syscall.EINVAL) { // replaced by a file just now
			target, err = filepath.Base(next), nil
		}
		if err != nil {
			return err
		}
		if links++; links > maxLinks {
			return &os.PathError{Op: "follow", Path: next, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(split(target), rest...)
	}
}

// split returns the parts of a path, without empty ones.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func checkOne(path string, last bool) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", path)
	}
	if err := checkOwner(path, info); err != nil {
		return err
	}
	if writable(info) && (last || info.Mode()&os.ModeSticky == 0) {
		return fmt.Errorf("%s has mode %v: %w", path, info.Mode(), ErrExposed)
	}
	return nil
}

// CheckFile returns an error that wraps ErrExposed unless the file path, whose
// info was obtained from its open descriptor, belongs to root or the effective
// user and cannot be written by anybody else.
func CheckFile(path string, info os.FileInfo) error {
	if err := checkOwner(path, info); err != nil {
		return err
	}
	if writable(info) {
		return fmt.Errorf("%s has mode %v: %w", path, info.Mode(), ErrExposed)
	}
	return nil
}

// writable tells whether others than the owner can write. The group root has
// no members but root.
func writable(info os.FileInfo) bool {
	perm := info.Mode().Perm()
	return perm&0o002 != 0 || perm&0o020 != 0 && info.Sys().(*syscall.Stat_t).Gid != 0
}

func checkOwner(path string, info os.FileInfo) error {
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 && int(uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to uid %d: %w", path, uid, ErrExposed)
	}
	return nil
}
