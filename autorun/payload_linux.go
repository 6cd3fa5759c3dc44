// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"usbagent/internal/sha256"
	"usbagent/internal/staging"
)

// Limits of the private copies of payload.
const (
	// MaxSmallFile is the size in bytes up to which a copy is kept in the run
	// directory, in memory.
	MaxSmallFile = 1 << 20
	// MaxSmallTotal is how many bytes of them one script may have there; what
	// comes later goes to the staging directory.
	MaxSmallTotal = 4 << 20
	// MemoryReserve is the space left free in the run directory, in bytes.
	MemoryReserve = 16 << 20
)

const (
	payloadDir    = "payload"  // below RunDir, 0700
	payloadPrefix = "payload-" // of names that exist while a copy is bound
)

// Payload is the verified private copies of the files that a script vouches
// for. Where the file system can do it they have no name, so that nothing is
// left of them when this process dies or the power fails; what is bound over
// the stick lives as long as it is bound.
type Payload struct {
	// Progress is told how far the copying of each file is; may be nil.
	Progress func(done, size int64)

	memory, disk string
	inMemory     []bool // by index of the script's files
	copies       []*privateCopy
}

// privateCopy is one of them.
type privateCopy struct {
	bound
	dir, name string   // name is empty where it has none
	file      *os.File // read-only
}

// NewPayload prepares for the copies of files, those of one script: small ones
// in the run directory, others in the staging directory on the data partition.
// It wraps [staging.ErrNoSpace] where they do not fit beside the reserves.
func NewPayload(runDir, stagingDir string, files []File) (*Payload, error) {
	p := &Payload{memory: filepath.Join(runDir, payloadDir), disk: stagingDir}
	var small, large int64
	for _, f := range files {
		fits := f.Size <= MaxSmallFile && small+f.Size <= MaxSmallTotal
		p.inMemory = append(p.inMemory, fits)
		if fits {
			small += f.Size
		} else {
			large += f.Size
		}
	}
	for _, place := range []struct {
		dir           string
		size, reserve int64
	}{{p.memory, small, MemoryReserve}, {p.disk, large, staging.Reserve}} {
		if place.size == 0 && place.dir == p.disk {
			continue
		}
		if err := staging.Prepare(place.dir); err != nil {
			return nil, fmt.Errorf("prepare copies of payload: %w", err)
		}
		if err := staging.CheckSpace(place.dir, place.size, place.reserve); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Add copies the next of the files that NewPayload was told of from source,
// reading it once, and compares it with what the script says: ErrNotVouched,
// [staging.ErrChanged] and [staging.ErrStalled] are told apart. executable is
// whether the copy may be executed.
func (p *Payload) Add(ctx context.Context, f File, source io.Reader, executable bool) error {
	dir := p.disk
	if p.inMemory[len(p.copies)] {
		dir = p.memory
	}
	c := &privateCopy{bound: bound{Path: f.Path}, dir: dir}
	w, err := c.create()
	if err != nil {
		return err
	}
	p.copies = append(p.copies, c) // Close removes what became of it
	defer w.Close()
	hash := sha256.New()
	if err := (staging.Job{Source: source, Size: f.Size, Progress: p.Progress}).Copy(ctx, io.MultiWriter(w, hash)); err != nil {
		return err
	}
	if err := f.Check([sha256.Size]byte(hash.Sum(nil))); err != nil {
		return err
	}
	return c.finish(w, executable)
}

// create makes an empty file without a name, or with one where there must be.
func (c *privateCopy) create() (*os.File, error) {
	fd, err := unix.Open(c.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), c.dir), nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EINVAL) {
		return nil, &os.PathError{Op: "create", Path: c.dir, Err: err}
	}
	f, err := os.CreateTemp(c.dir, payloadPrefix)
	if err == nil {
		c.name = f.Name()
	}
	return f, err
}

// finish makes the copy what the script is to see, and keeps it without the
// right to write: a file that somebody could write to cannot be executed.
func (c *privateCopy) finish(w *os.File, executable bool) error {
	mode := os.FileMode(0o444)
	if executable {
		mode = modeCopy
	}
	if err := w.Chmod(mode); err != nil {
		return err
	}
	file, err := os.Open(magicPath(int(w.Fd())))
	if err != nil {
		return err
	}
	c.file = file
	c.identity, _, err = identify(int(file.Fd()))
	return err
}

// Close lets go of the copies that are not bound. It may be called on nil, and
// more than once.
func (p *Payload) Close() {
	if p == nil {
		return
	}
	for _, c := range p.copies {
		if c.file != nil {
			c.file.Close()
		}
		c.unname()
	}
	p.copies = nil
}

// CleanPayload removes what an agent left that died while it bound copies.
func CleanPayload(runDir, stagingDir string) error {
	return errors.Join(staging.Clean(filepath.Join(runDir, payloadDir), payloadPrefix), staging.Clean(stagingDir, payloadPrefix))
}

// bounds is what run.json says of the copies.
func (p *Payload) bounds() (list []bound) {
	if p != nil {
		for _, c := range p.copies {
			list = append(list, c.bound)
		}
	}
	return list
}

// bind attaches the copies over the files below root.
func (p *Payload) bind(root *os.File) error {
	if p == nil {
		return nil
	}
	for _, c := range p.copies {
		if err := c.bind(root); err != nil {
			return err
		}
	}
	return nil
}

// bind needs a name: the kernel binds nothing that has none (fs/namespace.c,
// get_mountpoint). It goes again at once.
func (c *privateCopy) bind(root *os.File) error {
	if c.name == "" {
		name := filepath.Join(c.dir, payloadPrefix+rand.Text())
		if err := unix.Linkat(unix.AT_FDCWD, magicPath(int(c.file.Fd())), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW); err != nil {
			return &os.PathError{Op: "link", Path: name, Err: err}
		}
		c.name = name
	}
	defer c.unname()
	if err := isCopyOf(c.name, c.identity); err != nil {
		return err
	}
	return bindCopy(root, c.Path, c.name)
}

// isCopyOf returns nil when the file at path is the one that was verified.
func isCopyOf(path string, want identity) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	if (identity{uint64(st.Dev), st.Ino}) != want {
		return fmt.Errorf("%s is not the verified copy", path)
	}
	return nil
}

func (c *privateCopy) unname() {
	if c.name != "" {
		os.Remove(c.name)
		c.name = ""
	}
}
