// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"
)

// buffers are for read: a page and a byte, to notice a page too long.
var buffers = sync.Pool{New: func() any { return new([maxAttribute + 1]byte) }}

// opened is an open directory.
type opened struct{ fd int }

// open returns d as an open directory; the caller calls close.
func (d dir) open() (dir, error) {
	fd, err := unix.Open(d.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return d, &fs.PathError{Op: "open", Path: d.path, Err: err}
	}
	return dir{d.path, &opened{fd}, ""}, nil
}

func (d dir) close() { unix.Close(d.base.fd) }

// at returns what the system calls take for an entry.
func (d dir) at(name string) (int, string) {
	if d.base == nil {
		return unix.AT_FDCWD, d.path + "/" + name
	}
	return d.base.fd, d.rel + name
}

// read reads an attribute with three system calls. os.Open asks the kernel
// seven more things about a file, and this happens between the event and the
// LED. One read gets all of an attribute: sysfs hands out whole ones
// (Documentation/filesystems/sysfs.rst).
func (d dir) read(name string) (string, error) {
	at, path := d.at(name)
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: d.join(name).path, Err: err}
	}
	defer unix.Close(fd)
	buf := buffers.Get().(*[maxAttribute + 1]byte)
	defer buffers.Put(buf)
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return "", &fs.PathError{Op: "read", Path: d.join(name).path, Err: err}
	}
	return string(buf[:n]), nil
}

// link reads a symbolic link.
func (d dir) link(name string) (string, error) {
	at, path := d.at(name)
	buf := buffers.Get().(*[maxAttribute + 1]byte)
	defer buffers.Put(buf)
	n, err := unix.Readlinkat(at, path, buf[:])
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: d.join(name).path, Err: err}
	}
	return string(buf[:n]), nil
}

// has reports whether the directory has an entry of this name.
func (d dir) has(name string) bool {
	at, path := d.at(name)
	var st unix.Stat_t
	return unix.Fstatat(at, path, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}
