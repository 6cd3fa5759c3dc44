// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"crypto"
	"errors"
	"io"
	"time"
)

// StageRequest says what is copied, and what the copy has to be.
type StageRequest struct {
	Source io.Reader // the image from its first byte; abandoned where it stalls
	Size   int64     // bytes; a source with more or fewer is refused
	Dir    string    // the staging directory; made with mode 0700 where missing
	// Reserve is the number of bytes that stay free, StageReserve where zero.
	Reserve int64
	// Trailer, if it has a CMS, is what the copy must end with, so that the
	// signature of the copy is the one that was verified.
	Trailer Trailer
	// Hash and Sum, if set, are what the content before the CMS must be: the
	// signed digest of a plain bundle.
	Hash crypto.Hash
	Sum  []byte
	// Stall is how long one read may take, StageStall where zero.
	Stall    time.Duration
	Progress func(done, size int64) // may be nil
}

// Limits of staging.
const (
	// StageReserve is the space left free beside a staged image, in bytes.
	StageReserve = 64 << 20
	// StageStall is how long one read from the device may take.
	StageStall = 60 * time.Second
)

// Errors of Stage.
var (
	// ErrChanged means that the device returned other bytes than those that
	// were verified.
	ErrChanged = errors.New("the device returned other bytes than before")
	// ErrNoSpace means that the image does not fit beside the reserve.
	ErrNoSpace = errors.New("not enough space for a private copy")
)

// Staged is a private copy of an image.
type Staged struct {
	Path   string
	SHA256 [32]byte // of the whole file
}

// Stage is not there yet.
func Stage(ctx context.Context, r StageRequest) (*Staged, error) {
	return nil, errors.ErrUnsupported
}

// Remove deletes the copy.
func (s *Staged) Remove() error { return errors.ErrUnsupported }

// CleanStaging removes what earlier runs left in the staging directory dir.
func CleanStaging(dir string) error { return errors.ErrUnsupported }
