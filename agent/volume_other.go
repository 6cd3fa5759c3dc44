// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// root is a directory at the desk, on systems without openat2(2).
type root struct{ *os.Root }

func openDirectory(path string) (directory, error) {
	r, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return root{r}, nil
}

func (r root) names(add func(string) error) error {
	f, err := r.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return eachName(f, add)
}

func (r root) open(name string) (*os.File, error) {
	for i, c := range name { // the folders on the way
		if c != '/' {
			continue
		}
		if folder, err := r.Lstat(name[:i]); err != nil {
			return nil, err
		} else if folder.Mode()&fs.ModeSymlink != 0 {
			return nil, errors.New("it is a symbolic link or lies behind one, only regular files count")
		}
	}
	before, err := r.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("it is %s, only regular files count", kind(before.Mode()))
	}
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	if after, err := f.Stat(); err != nil || !os.SameFile(before, after) {
		f.Close()
		return nil, errors.New("it was exchanged while it was opened")
	}
	return f, nil
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	}
	return "a special file"
}
