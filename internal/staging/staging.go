// SPDX-License-Identifier: GPL-3.0-or-later

// Package staging copies bytes from a device that may stall, lie or end early
// to a private directory of the board. Package installer stages images with
// it, package autorun the files that a script vouches for; what the copy has
// to be is their business.
//
// Not for files that fit into memory and are kept there.
package staging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"usbagent/internal/durable"
)

// Limits of a copy.
const (
	// Reserve is the space left free beside a private copy, in bytes.
	Reserve = 64 << 20
	// Window is the time in which MinRate is measured, and so the longest that
	// a device may keep silent.
	Window = 60 * time.Second
	// MinRate is the slowest device waited for, in bytes per second. A stick on
	// full-speed USB gives ten times as much.
	MinRate = 64 << 10

	// bufferSize is what the kernel reads ahead of a reader. There are two such
	// buffers; larger ones would only cost the time to clear them.
	bufferSize = 128 << 10
)

var (
	// ErrStalled means that a device gave no sign of life for a named time.
	ErrStalled = errors.New("no progress")
	// ErrChanged means that the device returned other bytes than those that
	// were verified.
	ErrChanged = errors.New("the device returned other bytes than those that were verified")
	// ErrNoSpace means that a copy does not fit beside the reserve.
	ErrNoSpace = errors.New("not enough space for a private copy")
)

// Job is one copy.
type Job struct {
	// Source is read from its first byte. Where it stalls it is abandoned: a
	// Read that never returns keeps its goroutine and a buffer.
	Source io.Reader
	// Size is the number of bytes to copy; a source with fewer is ErrChanged.
	Size int64
	// Window is [Window] where zero.
	Window   time.Duration
	Progress func(done, size int64) // may be nil
}

// chunk is what one read gave.
type chunk struct {
	b   []byte
	err error
}

// Copy copies Size bytes from Source to w, in bounded memory. The reads happen
// in a goroutine that is left alone when the device does not answer; nobody
// waits for it. The end of ctx ends the copying.
func (j Job) Copy(ctx context.Context, w io.Writer) error {
	stop := make(chan struct{})
	defer close(stop)
	chunks, free := make(chan chunk), make(chan []byte, 2)
	size := max(1, min(bufferSize, j.Size))
	free <- make([]byte, size)
	free <- make([]byte, size)
	go pump(io.LimitReader(j.Source, j.Size), free, chunks, stop)
	window := j.Window
	if window == 0 {
		window = Window
	}
	tick := time.NewTicker(window)
	defer tick.Stop()
	least := int64(window.Seconds() * MinRate)
	for done, before := int64(0), int64(0); done < j.Size; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if done-before < least {
				return fmt.Errorf("%w: the device gave %d bytes in %v", ErrStalled, done-before, window)
			}
			before = done
		case c := <-chunks:
			if _, err := w.Write(c.b); err != nil {
				return err
			}
			done += int64(len(c.b))
			if c.err != nil && done < j.Size {
				return readError(c.err, done)
			}
			free <- c.b[:cap(c.b)]
			if j.Progress != nil {
				j.Progress(done, j.Size)
			}
		}
	}
	return nil
}

// readError tells an end that came too early from a read that failed.
func readError(err error, done int64) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends after %d bytes", ErrChanged, done)
	}
	return fmt.Errorf("read after %d bytes: %w", done, err)
}

// pump reads source until its end or an error, or until stop is closed.
func pump(source io.Reader, free <-chan []byte, out chan<- chunk, stop <-chan struct{}) {
	for {
		var b []byte
		select {
		case b = <-free:
		case <-stop:
			return
		}
		n, err := source.Read(b[:cap(b)])
		select {
		case out <- chunk{b[:n], err}:
		case <-stop:
			return
		}
		if err != nil {
			return
		}
	}
}

// Prepare makes the staging directory dir with mode 0700, or takes over a safe
// one; one that others could change is durable.ErrExposed.
func Prepare(dir string) error {
	if err := durable.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	// Nothing in it is to outlive a power cut, and so it need not itself.
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make staging directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return fmt.Errorf("staging directory %s is a link or no directory: %w", dir, errors.Join(err, durable.ErrExposed))
	}
	if err := durable.CheckDir(dir); err != nil || info.Mode().Perm() == 0o700 {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// CheckSpace returns an error that wraps ErrNoSpace where size bytes do not fit
// into dir beside reserve bytes.
func CheckSpace(dir string, size, reserve int64) error {
	free, err := FreeSpace(dir)
	if err != nil {
		return err
	}
	if free < size || free-size < reserve {
		return fmt.Errorf("%w: %s has %d MiB free, %d MiB are needed and %d MiB stay reserved",
			ErrNoSpace, dir, free>>20, (size+1<<20-1)>>20, reserve>>20)
	}
	return nil
}

// Clean removes what earlier runs left in dir under names with this prefix. A
// directory that is not there is clean.
func Clean(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clean staging directory: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			errs = append(errs, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clean staging directory: %w", err)
	}
	return nil
}
