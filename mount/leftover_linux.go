// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// pointMode is the mode, less the umask, of a directory that is made to
	// mount on. The sticky bit, which means nothing on a directory that only
	// root can write, is what tells it from an administrator's own empty
	// directory when all records of it went with the power.
	pointMode = 0o1755

	// MaxLeftovers bounds how many entries of the mount root are looked at for
	// directories that a power cut left.
	MaxLeftovers = 4096
)

// ours reports whether a usable directory was made to mount on, under whatever
// umask.
func ours(st unix.Stat_t) bool { return st.Mode&0o7000 == pointMode&0o7000 }

// sweep removes the directories that an earlier run made, which a power cut
// left without a record: the records lie on a volatile file system, the mount
// root mostly not.
func (m *Mounter) sweep() error {
	if _, err := os.Stat(m.o.Root); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	root, err := m.openRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	names, err := entries(root)
	if err != nil {
		return fmt.Errorf("read %s: %w", root.Name(), err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed error
	for _, name := range names {
		path := root.Name() + "/" + name
		var st unix.Stat_t
		if m.reserved[path] || unix.Fstatat(int(root.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT) != nil ||
			!usable(root, name, path, st) || !ours(st) {
			continue
		}
		if err := unix.Unlinkat(int(root.Fd()), name, unix.AT_REMOVEDIR); err != nil {
			failed = also(failed, fmt.Errorf("remove directory %s: %w", path, err))
		}
	}
	return failed
}

// entries lists a directory, up to MaxLeftovers names of it.
func entries(dir *os.File) ([]string, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	readable := os.NewFile(uintptr(fd), dir.Name())
	defer readable.Close()
	names, err := readable.Readdirnames(MaxLeftovers)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}
