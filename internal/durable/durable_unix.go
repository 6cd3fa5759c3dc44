// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
// written by anybody else. Sticky directories of root's (such as /tmp) count
// as safe above dir, not as dir itself. Symbolic links on the way are followed.
func CheckDir(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return fmt.Errorf("check directory %s: %w", dir, err)
	}
	for path, last := real, true; ; path, last = filepath.Dir(path), false {
		if err := checkOne(path, last); err != nil {
			return fmt.Errorf("check directory %s: %w", dir, err)
		}
		if path == filepath.Dir(path) {
			return nil
		}
	}
}

func checkOne(path string, last bool) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", path)
	}
	stat := info.Sys().(*syscall.Stat_t)
	if stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to uid %d: %w", path, stat.Uid, ErrExposed)
	}
	writable := info.Mode().Perm()&0o022 != 0
	if writable && (last || info.Mode()&os.ModeSticky == 0) {
		return fmt.Errorf("%s has mode %v: %w", path, info.Mode(), ErrExposed)
	}
	return nil
}
