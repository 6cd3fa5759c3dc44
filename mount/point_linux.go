// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"usbagent/internal/durable"
)

// MaxNumber is the highest number that is tried to make a mount point's name
// unique.
const MaxNumber = 100

// errTaken: the name cannot be used, the next one may.
var errTaken = errors.New("taken")

// point is a directory to mount on.
type point struct {
	dir   *os.File // O_PATH
	path  string
	made  bool // by us, so it is removed afterwards
	there bool // before it is opened
}

// openRoot makes the mount root where it is missing, checks that nobody but
// root could have put anything in its place, and opens it.
func (m *Mounter) openRoot() (*os.File, error) {
	if err := durable.MkdirAll(m.o.Root, 0o755); err != nil {
		return nil, fmt.Errorf("mount root: %w", err)
	}
	if err := checkRoot(m.o.Root); err != nil {
		return nil, fmt.Errorf("mount root: %w", err)
	}
	path, err := filepath.EvalSymlinks(m.o.Root) // the administrator's own links, checkRoot saw to that
	if err != nil {
		return nil, fmt.Errorf("mount root: %w", err)
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("mount root %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// checkRoot is CheckDir, but lets the root itself be a sticky directory of
// root's that everybody can write to: what others put there is never used,
// and they cannot move what is ours.
func checkRoot(dir string) error {
	err := durable.CheckDir(dir)
	if !errors.Is(err, durable.ErrExposed) {
		return err
	}
	info, statErr := os.Lstat(dir)
	if statErr != nil || !info.IsDir() || info.Mode()&os.ModeSticky == 0 || int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
		return err
	}
	return durable.CheckDir(filepath.Dir(dir))
}

// makePoint finds or makes the directory for x below the root: name, else
// name-2 and so on. It is reserved, and recorded before anything is done, so
// that a crash at any instant leaves nothing that Recover does not find.
func (m *Mounter) makePoint(name string, x *Mount) (point, error) {
	root, err := m.openRoot()
	if err != nil {
		return point{}, err
	}
	defer root.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := 1; n <= MaxNumber; n++ {
		p, err := m.tryPoint(root, numbered(name, n), x)
		if !errors.Is(err, errTaken) {
			return p, err
		}
	}
	return point{}, fmt.Errorf("mount point: %s and the %d names after it are taken", filepath.Join(root.Name(), name), MaxNumber-1)
}

// tryPoint tries one name. A new directory is made; one that exists is used
// only if it is an empty directory of root's with nothing mounted on it. What a
// power cut left of an earlier run's is like a new one.
func (m *Mounter) tryPoint(root *os.File, name string, x *Mount) (point, error) {
	p := point{path: filepath.Join(root.Name(), name)}
	if m.reserved[p.path] {
		return p, errTaken
	}
	var st unix.Stat_t
	err := unix.Fstatat(int(root.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	switch {
	case errors.Is(err, unix.ENOENT):
		p.made = true
	case err != nil:
		return p, errTaken // a dead mount, for instance
	case !usable(root, name, p.path, st):
		return p, errTaken
	default:
		p.there, p.made = true, ours(st)
	}
	if err := m.record(x, p); err != nil {
		return p, err
	}
	if err := p.open(root, name); err != nil {
		m.forget(p.path)
		return p, err
	}
	m.reserved[p.path] = true
	return p, nil
}

// usable reports whether the existing entry is an empty directory that only
// root can change, and no mount point.
func usable(root *os.File, name, path string, st unix.Stat_t) bool {
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return false
	}
	if mounts, err := mountsAt(path); err != nil || len(mounts) > 0 {
		return false
	}
	fd, err := unix.Openat(int(root.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	_, err = dir.Readdirnames(1)
	return errors.Is(err, io.EOF)
}

// open makes the directory where p says so, and opens it.
func (p *point) open(root *os.File, name string) error {
	if !p.there {
		err := unix.Mkdirat(int(root.Fd()), name, pointMode)
		if errors.Is(err, unix.EEXIST) {
			return errTaken
		}
		if err != nil {
			return fmt.Errorf("make directory %s: %w", p.path, err)
		}
	}
	fd, err := unix.Openat(int(root.Fd()), name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		if p.made {
			unix.Unlinkat(int(root.Fd()), name, unix.AT_REMOVEDIR)
		}
		return fmt.Errorf("open directory %s: %w", p.path, err)
	}
	p.dir = os.NewFile(uintptr(fd), p.path)
	return nil
}

// dropPoint gives the name of x back: its directory is removed if it was made
// for it, and its record.
func (m *Mounter) dropPoint(x *Mount) error {
	var err error
	if x.made {
		err = unix.Rmdir(x.Target)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EBUSY) {
			err = nil // gone already, or somebody else's by now
		}
	}
	if err != nil {
		err = fmt.Errorf("remove directory %s: %w", x.Target, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.reserved, x.Target)
	return also(err, m.forget(x.Target))
}
