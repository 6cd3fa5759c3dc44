// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// writeFile writes to an attribute that is there; it never makes a file. Three
// system calls: os.OpenFile asks the kernel more about a file, and this is the
// light that somebody waits for.
func writeFile(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if _, err = unix.Write(fd, []byte(value)); err != nil {
		err = &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return errors.Join(err, unix.Close(fd))
}
