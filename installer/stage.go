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
	"time"

	"usbagent/internal/staging"
)

// Limits of staging.
const (
	// StageReserve is the space left free beside a staged image, in bytes.
	StageReserve = staging.Reserve

	stagePrefix = "image-"
)

// Errors of Stage.
var (
	// ErrChanged means that the device returned other bytes than those that
	// were verified.
	ErrChanged = staging.ErrChanged
	// ErrNoSpace means that the image does not fit beside the reserve.
	ErrNoSpace = staging.ErrNoSpace
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
	// Window is staging.Window where zero.
	Window   time.Duration
	Progress func(done, size int64) // may be nil
}

// Staged is a private copy of an image.
type Staged struct {
	Path   string
	SHA256 [sha256.Size]byte // of the whole file, unless it had to end with a Trailer: that identifies it
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
	if err := staging.Prepare(r.Dir); err != nil {
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

// checkSpace refuses what would fill the file system.
func (r StageRequest) checkSpace() error {
	reserve := r.Reserve
	if reserve == 0 {
		reserve = StageReserve
	}
	return staging.CheckSpace(r.Dir, r.Size, reserve)
}

// fill copies and compares. Where the installer checks each block of the copy
// as it reads it, in a verity or crypt bundle, nobody waits until the copy is on
// the medium: it is not to outlive a power cut, and what the medium lost would be seen.
func (r StageRequest) fill(ctx context.Context, f *os.File, s *Staged) error {
	// At most one digest is made: a board makes 10 MB a second.
	tail := &tailWriter{skip: r.Size}
	switch {
	case len(r.Sum) != 0:
		tail.head = r.Hash.New()
	case r.Trailer.CMS == nil:
		tail.head = sha256.New()
	}
	if r.Trailer.CMS != nil {
		tail.skip = r.Trailer.ContentSize
	}
	job := staging.Job{Source: r.Source, Size: r.Size, Window: r.Window, Progress: r.Progress}
	if err := job.Copy(ctx, io.MultiWriter(f, tail)); err != nil {
		return err
	}
	if r.Trailer.CMS != nil && !bytes.Equal(tail.kept, r.Trailer.bytes()) {
		return fmt.Errorf("%w: another signature", ErrChanged)
	}
	if len(r.Sum) != 0 && !bytes.Equal(tail.head.Sum(nil), r.Sum) {
		return fmt.Errorf("%w: the content is not what was signed", ErrChanged)
	}
	if tail.head == nil {
		return nil
	}
	if r.Trailer.CMS == nil {
		tail.head.Sum(s.SHA256[:0])
	}
	return f.Sync()
}

// tailWriter hashes the first skip bytes, where head is not nil, and keeps
// what follows them.
type tailWriter struct {
	skip int64
	head hash.Hash
	kept []byte
}

func (t *tailWriter) Write(p []byte) (int, error) {
	head := p[:min(int64(len(p)), t.skip)]
	if t.head != nil {
		t.head.Write(head)
	}
	t.skip -= int64(len(head))
	t.kept = append(t.kept, p[len(head):]...)
	return len(p), nil
}

// CleanStaging removes what earlier runs left in the staging directory dir.
// A directory that is not there is clean.
func CleanStaging(dir string) error { return staging.Clean(dir, stagePrefix) }
