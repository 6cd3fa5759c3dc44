// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"
)

// buffers are for readAttribute: a page and a byte, to notice a page too long.
var buffers = sync.Pool{New: func() any { return new([maxAttribute + 1]byte) }}

// readAttribute reads an attribute with three system calls. os.Open asks the
// kernel seven more things about a file, and this happens between the event
// and the LED. One read gets all of an attribute: sysfs hands out whole ones
// (Documentation/filesystems/sysfs.rst).
func readAttribute(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	buf := buffers.Get().(*[maxAttribute + 1]byte)
	defer buffers.Put(buf)
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return "", &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return string(buf[:n]), nil
}
