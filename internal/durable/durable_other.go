// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !unix

package durable

import (
	"fmt"
	"os"
	"time"
)

// SyncDir does nothing where directories cannot be synced; only the desk
// commands run there.
func SyncDir(string) error { return nil }

// CheckDir accepts every directory where there are no Unix permissions; only
// the desk commands run there.
func CheckDir(string) error { return nil }

// Open opens the regular file path.
func Open(path string, flag int, perm os.FileMode) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open %s: %w (%v)", path, ErrIrregular, info.Mode())
	}
	return os.OpenFile(path, flag, perm)
}

// Lock locks nothing where no daemon runs.
func Lock(string, time.Duration) (unlock func(), err error) { return func() {}, nil }

// PrivateDir makes the directory dir.
func PrivateDir(dir string) error { return MkdirAll(dir, 0o700) }

// CheckFile accepts every file, as CheckDir every directory.
func CheckFile(string, os.FileInfo) error { return nil }

// CheckWay accepts every path, as CheckDir every directory.
func CheckWay(string) error { return nil }

// OpenThrough opens the file path for reading.
func OpenThrough(path string) (*os.File, error) { return os.Open(path) }
