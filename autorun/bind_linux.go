// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// magicPath is the path by which the kernel reaches the very file that fd
// refers to, whatever its name means by now (proc(5), /proc/pid/fd).
func magicPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// identity tells files apart.
type identity struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

func identify(fd int) (identity, uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return identity{}, 0, err
	}
	return identity{uint64(st.Dev), st.Ino}, st.Mode & unix.S_IFMT, nil
}

// openBelow opens path, relative and with slashes, below the directory root as
// an O_PATH handle. It takes one component after the other, so that no symbolic
// link is followed on the way; one at the end is opened itself. Nothing else
// can lead out of root but a mount, see sameMount.
func openBelow(root *os.File, path string) (*os.File, error) {
	dir := root
	for rest, more := path, true; ; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		flags := unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if more {
			flags |= unix.O_DIRECTORY
		}
		fd, err := unix.Openat(int(dir.Fd()), part, flags, 0)
		if dir != root {
			dir.Close()
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		if dir = os.NewFile(uintptr(fd), path); !more {
			return dir, nil
		}
	}
}

// sameMount returns nil when both handles are on one mount (Linux 5.8).
func sameMount(a, b *os.File) error {
	var of [2]unix.Statx_t
	for i, f := range []*os.File{a, b} {
		if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &of[i]); err != nil {
			return &os.PathError{Op: "statx", Path: f.Name(), Err: err}
		}
	}
	if of[0].Mask&unix.STATX_MNT_ID == 0 || of[0].Mnt_id != of[1].Mnt_id {
		return &os.PathError{Op: "open", Path: b.Name(), Err: unix.EXDEV}
	}
	return nil
}

// bindCopy attaches the private file at path, read-only, over the regular file
// name below the directory root, and proves it. The file on the stick is not
// read. Needs Linux 5.12 (mount_setattr(2)): the flags are set before anybody
// can see the mount, and its copies in other mount namespaces have them too.
func bindCopy(root *os.File, name, path string) error {
	file, err := openBelow(root, name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, kind, err := identify(int(file.Fd()))
	if err != nil {
		return err
	}
	if kind != unix.S_IFREG {
		return fmt.Errorf("%s is no regular file", name)
	}
	if err := sameMount(root, file); err != nil {
		return err
	}
	forget(file)
	tree, err := cloneReadOnly(path)
	if err != nil {
		return err
	}
	defer tree.Close()
	if err := unix.MoveMount(int(tree.Fd()), "", int(file.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach the verified copy over %s: %w", name, err)
	}
	return isCopy(root, name, path)
}

// cloneReadOnly makes a mount of the one file path that is attached nowhere
// yet: read-only, no set-user-ID, no devices, but executable even if path lies
// on a file system mounted noexec, as /run is on some systems.
func cloneReadOnly(path string) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return nil, fmt.Errorf("clone the verified copy: %w", err)
	}
	tree := os.NewFile(uintptr(fd), path)
	attr := unix.MountAttr{
		Attr_set:    unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV,
		Attr_clr:    unix.MOUNT_ATTR_NOEXEC,
		Propagation: unix.MS_PRIVATE,
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		tree.Close()
		return nil, fmt.Errorf("make the verified copy read-only: %w", err)
	}
	return tree, nil
}

// isCopy returns nil when name below the directory root is the file at path.
func isCopy(root *os.File, name, path string) error {
	var want unix.Stat_t
	if err := unix.Lstat(path, &want); err != nil {
		return &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return isFile(root, name, identity{uint64(want.Dev), want.Ino})
}

// isFile returns nil when name below the directory root is that very file.
func isFile(root *os.File, name string, want identity) error {
	file, err := openBelow(root, name)
	if err != nil {
		return err
	}
	defer file.Close()
	got, _, err := identify(int(file.Fd()))
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s is not the verified copy", name)
	}
	return nil
}

// unbind takes the verified copy away from name below target, if it is there.
// The mount may be busy: whoever has the file open keeps it.
func unbind(target, name string, copy identity) error {
	root, err := openDir(target)
	if err != nil {
		return nil // the stick was pulled, and the mount went with it
	}
	defer root.Close()
	if isFile(root, name, copy) != nil {
		return nil
	}
	file, err := openBelow(root, name)
	if err != nil {
		return nil
	}
	defer file.Close()
	if err := unix.Unmount(magicPath(int(file.Fd())), unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount %s: %w", filepath.Join(target, name), err)
	}
	return nil
}

func openDir(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// forget drops what the page cache holds of the file on the stick: it was read
// once, its bytes are verified and copied, and nobody needs it again. Best
// effort.
func forget(file *os.File) {
	fd, err := unix.Open(magicPath(int(file.Fd())), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
}
