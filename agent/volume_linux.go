// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// resolve keeps every lookup inside the directory: no link of any kind is
// followed and no other mount entered (openat2(2), Linux 5.6).
const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// handle is a directory by its descriptor.
type handle struct{ dir *os.File }

// openDirectory takes the directory at path.
func openDirectory(path string) (directory, error) {
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return handle{f}, nil
}

// duplicate takes the directory that dir is open on, with a descriptor of its
// own, so that neither can close the other's.
func duplicate(dir *os.File) (directory, error) {
	fd, err := handle{dir}.with(func(dir int) (int, error) {
		return unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	return handle{os.NewFile(uintptr(fd), dir.Name())}, nil
}

func (h handle) Close() error { return h.dir.Close() }

// with calls work with the descriptor, which stays open meanwhile whoever
// closes h: work that was abandoned may begin later than that. It is an error
// (os.ErrClosed) once h is closed.
func (h handle) with(work func(dir int) (int, error)) (fd int, err error) {
	raw, err := h.dir.SyscallConn()
	if err != nil {
		return -1, err
	}
	if raw.Control(func(dir uintptr) { fd, err = work(int(dir)) }) != nil {
		return -1, os.ErrClosed
	}
	return fd, err
}

func (h handle) names(add func(string) error) error {
	fd, err := h.with(func(dir int) (int, error) {
		return unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), ".")
	defer f.Close()
	return eachName(f, add)
}

// open looks at the type through a descriptor that opens nothing (O_PATH),
// and only then opens the same file for reading.
func (h handle) open(name string) (*os.File, error) {
	path, err := h.beneath(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	defer path.Close()
	before, err := regular(path)
	if err != nil {
		return nil, err
	}
	f, err := h.beneath(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	after, err := regular(f)
	if err == nil && (before.Dev != after.Dev || before.Ino != after.Ino) {
		err = errors.New("it was exchanged while it was opened")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (h handle) beneath(name string, flags uint64) (*os.File, error) {
	return h.create(name, flags, 0)
}

// create is beneath with the mode of a file that is made.
func (h handle) create(name string, flags, mode uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Mode: mode, Resolve: resolve}
	fd, err := h.with(func(dir int) (int, error) { return openat2(dir, name, &how) })
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, errors.New("it is a symbolic link or lies behind one, only regular files count")
	case errors.Is(err, unix.EXDEV):
		return nil, errors.New("something else is mounted over it")
	case err != nil:
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openat2 falls back, where the kernel lacks it, on openat(2): for one part of
// the path after the other O_NOFOLLOW and a look at the device do the same.
func openat2(dir int, name string, how *unix.OpenHow) (int, error) {
	for {
		fd, err := unix.Openat2(dir, name, how)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			return openatParts(dir, name, how)
		}
		return fd, err
	}
}

func openatParts(dir int, path string, how *unix.OpenHow) (int, error) {
	part, rest, more := strings.Cut(path, "/")
	if !more {
		return openatSameDevice(dir, part, how)
	}
	fd, err := openatSameDevice(dir, part, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	return openatParts(fd, rest, how)
}

func openatSameDevice(dir int, name string, how *unix.OpenHow) (int, error) {
	fd, err := unix.Openat(dir, name, int(how.Flags)|unix.O_NOFOLLOW, uint32(how.Mode))
	if err != nil {
		return -1, err
	}
	var above, st unix.Stat_t
	if err := errors.Join(unix.Fstat(dir, &above), unix.Fstat(fd, &st)); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if above.Dev != st.Dev {
		unix.Close(fd)
		return -1, unix.EXDEV
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		unix.Close(fd)
		return -1, unix.ELOOP
	}
	return fd, nil
}

// regular returns what fstat(2) says of f, or an error that names its type
// where it is no regular file.
func regular(f *os.File) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return st, err
	}
	kinds := map[uint32]string{
		unix.S_IFDIR: "a directory", unix.S_IFLNK: "a symbolic link", unix.S_IFIFO: "a FIFO",
		unix.S_IFSOCK: "a socket", unix.S_IFBLK: "a block device", unix.S_IFCHR: "a character device",
	}
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFREG {
		return st, nil
	}
	name, ok := kinds[kind]
	if !ok {
		name = "of unknown type 0" + strconv.FormatUint(uint64(kind), 8)
	}
	return st, fmt.Errorf("it is %s, only regular files count", name)
}
