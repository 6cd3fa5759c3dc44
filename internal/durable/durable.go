// SPDX-License-Identifier: GPL-3.0-or-later

// Package durable changes files so that a power cut at any instant leaves the
// whole old or the whole new content, and so that what was reported as written
// is still there afterwards.
//
// Atomic is not durable: rename(2) makes a change visible all at once, but
// neither the bytes nor the directory entry have to be on the medium by then.
// Every function here returns only after fsync(2) of the file and of the
// directory that names it.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TemporaryPrefix begins the name of every temporary file that WriteFile
// makes beside its target, so that leftovers of a power cut can be found.
const TemporaryPrefix = ".usbagent-"

// ErrExposed is wrapped by CheckDir's error.
var ErrExposed = errors.New("others could change what lies there")

// ErrIrregular is wrapped by the errors of Open and ReadFile.
var ErrIrregular = errors.New("this is no regular file")

// ErrTooLarge is wrapped by ReadFile's error.
var ErrTooLarge = errors.New("the file is too large")

// ReadFile reads the regular file path of at most max bytes; it follows no
// link and waits for nobody.
func ReadFile(path string, max int64) ([]byte, error) {
	f, err := Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadAll(f, max)
}

// ReadAll reads the rest of f, at most max bytes; more are ErrTooLarge.
func ReadAll(f *os.File, max int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		err = fmt.Errorf("read %s: %w (more than %d bytes)", f.Name(), ErrTooLarge, max)
	}
	if err != nil {
		return nil, err // half a file is worse than none
	}
	return data, nil
}

// RemoveStale removes the temporary files that a power cut left beside path.
func RemoveStale(path string) {
	prefix := TemporaryPrefix + filepath.Base(path) + "."
	entries, _ := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

// WriteFile replaces path, durably and at one instant, with a regular file
// that holds data and has the permission bits perm. Where path is a symbolic
// link the link itself is replaced and its target stays as it is.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), TemporaryPrefix+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	if err := fill(f, data, perm); err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("replace %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// fill writes, syncs and closes f.
func fill(f *os.File, data []byte, perm fs.FileMode) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// MkdirAll makes the directory path and what is missing above it, each with
// the permission bits perm and each synced into its parent.
func MkdirAll(path string, perm fs.FileMode) error {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("make directory %s: it exists and is no directory", path)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make directory %s: %w", path, err)
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := MkdirAll(parent, perm); err != nil {
			return err
		}
	}
	err = os.Mkdir(path, perm)
	if err == nil {
		err = os.Chmod(path, perm) // whatever the umask
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory %s: %w", path, err)
	}
	return SyncDir(parent)
}

// Link gives the file old the additional name new, durably; new is replaced
// where it exists. A symbolic link stays one: its copy has the same target text.
func Link(old, new string) error {
	tmp := filepath.Join(filepath.Dir(new), TemporaryPrefix+filepath.Base(new)+".link")
	os.Remove(tmp)
	if err := os.Link(old, tmp); err != nil {
		return fmt.Errorf("keep %s as %s: %w", old, new, err)
	}
	err := os.Rename(tmp, new)
	// rename(2) of two names of one file does nothing and leaves both.
	os.Remove(tmp)
	if err != nil {
		return fmt.Errorf("keep %s as %s: %w", old, new, err)
	}
	return SyncDir(filepath.Dir(new))
}
