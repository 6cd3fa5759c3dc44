// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// attributes are the files of a LED, which are there before they are written
// to and never made. Those that every LED has stay open once they were written
// to: opening takes longer than writing, and this is the light that somebody
// waits for. os.OpenFile asks the kernel even more.
type attributes struct {
	dir  string
	open map[string]int
}

func (a *attributes) write(name, value string) error {
	if fd, ok := a.open[name]; ok {
		if replace(fd, value) == nil {
			return nil
		}
		unix.Close(fd) // of a LED that has gone, and is there again perhaps
		delete(a.open, name)
	}
	path := a.dir + "/" + name
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if err := replace(fd, value); err != nil {
		unix.Close(fd)
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	if name != "trigger" && name != "brightness" { // the others go with their trigger
		return unix.Close(fd)
	}
	if a.open == nil {
		a.open = make(map[string]int)
	}
	a.open[name] = fd
	return nil
}

// replace writes all that a file shall hold. The kernel's attributes have no
// length; a test's files have.
func replace(fd int, value string) error {
	if err := unix.Ftruncate(fd, 0); err != nil {
		return err
	}
	_, err := unix.Pwrite(fd, []byte(value), 0)
	return err
}

func (a *attributes) close() error {
	var err error
	for _, fd := range a.open {
		err = errors.Join(err, unix.Close(fd))
	}
	a.open = nil
	return err
}
