// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"usbagent/internal/durable"
)

// Limits of staging.
const (
	// StageReserve is the space left free beside a staged image, in bytes.
	StageReserve = 64 << 20
	// StageWindow is the time in which StageMinRate is measured, and so the
	// longest that a device may keep silent.
	StageWindow = 60 * time.Second
	// StageMinRate is the slowest device waited for, in bytes per second. A
	// stick on full-speed USB gives ten times as much.
	StageMinRate = 64 << 10

	stageBuffer = 1 << 20
	stagePrefix = "image-"
)

// Errors of Stage.
var (
	// ErrChanged means that the device returned other bytes than those that
	// were verified.
	ErrChanged = errors.New("the device returned other bytes than those that were verified")
	// ErrNoSpace means that the image does not fit beside the reserve.
	ErrNoSpace = errors.New("not enough space for a private copy")
)

// StageRequest says what is copied, and what the copy has to be.
type StageRequest struct {
	// Source is the image from its first byte. Where it stalls it is
	// abandoned: a Read that never returns keeps its goroutine and a buffer.
	Source io.Reader
	Size   int64  // bytes to copy; a source with fewer is refused
	Dir    string // the staging directory; made with mode 0700 where missing
	// Reserve is the number of bytes that stay free, StageReserve where zero.
	Reserve int64
	// Trailer, if it has a CMS, is what the copy must end with, so that the
	// signature of the copy is the one that was verified.
	Trailer Trailer
	// Hash and Sum, if set, are what the content before the CMS must be: the
	// signed digest of a plain bundle.
	Hash crypto.Hash
	Sum  []byte
	// Window is StageWindow where zero.
	Window   time.Duration
	Progress func(done, size int64) // may be nil
}

// Staged is a private copy of an image.
type Staged struct {
	Path   string
	SHA256 [sha256.Size]byte // of the whole file
}

// Remove deletes the copy. It may be called more than once.
func (s *Staged) Remove() error {
	if err := os.Remove(s.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove staged image: %w", err)
	}
	return nil
}

// Stage copies an image to where only root can read or change it, reading it
// once. ErrNoSpace, ErrChanged and ErrStalled are told apart; a copy that
// fails leaves nothing behind.
func Stage(ctx context.Context, r StageRequest) (*Staged, error) {
	s, err := r.stage(ctx)
	if err != nil {
		return nil, fmt.Errorf("stage image: %w", err)
	}
	return s, nil
}

func (r StageRequest) stage(ctx context.Context) (*Staged, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := prepareStaging(r.Dir); err != nil {
		return nil, err
	}
	if err := r.checkSpace(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(r.Dir, stagePrefix) // mode 0600
	if err != nil {
		return nil, err
	}
	s := &Staged{Path: f.Name()}
	err = r.fill(ctx, f, s)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// check refuses a request that contradicts itself.
func (r StageRequest) check() error {
	if r.Size <= 0 {
		return fmt.Errorf("a size of %d bytes", r.Size)
	}
	if r.Trailer.CMS != nil && r.Size != r.Trailer.ContentSize+int64(len(r.Trailer.CMS))+cmsSizeBytes {
		return fmt.Errorf("%w: its size is %d bytes now", ErrChanged, r.Size)
	}
	if len(r.Sum) != 0 && (r.Trailer.CMS == nil || !r.Hash.Available()) {
		return errors.New("a digest without its algorithm or its end")
	}
	return nil
}

// prepareStaging makes the staging directory, or takes over a safe one.
func prepareStaging(dir string) error {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("staging directory %s is a link or no directory: %w", dir, errors.Join(err, durable.ErrExposed))
	}
	if err := durable.CheckDir(dir); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// checkSpace refuses what would fill the file system.
func (r StageRequest) checkSpace() error {
	reserve := r.Reserve
	if reserve == 0 {
		reserve = StageReserve
	}
	free, err := freeSpace(r.Dir)
	if err != nil {
		return err
	}
	if free < r.Size || free-r.Size < reserve {
		return fmt.Errorf("%w: %s has %d MiB free, the image needs %d MiB and %d MiB stay reserved",
			ErrNoSpace, r.Dir, free>>20, r.Size>>20, reserve>>20)
	}
	return nil
}

// fill copies, compares and syncs.
func (r StageRequest) fill(ctx context.Context, f *os.File, s *Staged) error {
	whole := sha256.New()
	tail := &tailWriter{skip: r.Size, hash: whole}
	var content hash.Hash
	if r.Trailer.CMS != nil {
		tail.skip = r.Trailer.ContentSize
	}
	if len(r.Sum) != 0 {
		content = r.Hash.New()
		tail.content = content
	}
	if err := r.copy(ctx, io.MultiWriter(f, tail)); err != nil {
		return err
	}
	if r.Trailer.CMS != nil && !bytes.Equal(tail.kept, r.Trailer.bytes()) {
		return fmt.Errorf("%w: another signature", ErrChanged)
	}
	if content != nil && !bytes.Equal(content.Sum(nil), r.Sum) {
		return fmt.Errorf("%w: the content is not what was signed", ErrChanged)
	}
	whole.Sum(s.SHA256[:0])
	return f.Sync()
}

// tailWriter hashes everything, hashes the first skip bytes as content, and
// keeps what follows them.
type tailWriter struct {
	skip          int64
	hash, content hash.Hash
	kept          []byte
}

func (t *tailWriter) Write(p []byte) (int, error) {
	t.hash.Write(p)
	head := p[:min(int64(len(p)), t.skip)]
	if t.content != nil {
		t.content.Write(head)
	}
	t.skip -= int64(len(head))
	t.kept = append(t.kept, p[len(head):]...)
	return len(p), nil
}

// CleanStaging removes what earlier runs left in the staging directory dir.
// A directory that is not there is clean.
func CleanStaging(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clean staging directory: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), stagePrefix) {
			errs = append(errs, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clean staging directory: %w", err)
	}
	return nil
}
