// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Bounds on waiting for a stick. A device that does not answer is abandoned:
// the goroutine that waits for it stays behind until the kernel gives up, and
// everything else goes on.
const (
	// ReadStall is how long a read may bring no byte.
	ReadStall = 30 * time.Second
	// ReadTotal is how long reading one file that fits into memory may take.
	ReadTotal = 10 * time.Minute
	// MountTimeout is how long finding the file system and mounting may take.
	MountTimeout = 60 * time.Second
)

// errAbandoned is the cause of an operation that a device never answered.
var errAbandoned = errors.New("the device does not answer")

// directory is the root directory of a mounted stick, or of a directory at
// the desk. No name leads out of it, through a link or onto another file system.
type directory interface {
	// names calls add with each name, in no particular order.
	names(add func(string) error) error
	// open opens a regular file for reading without ever blocking on it;
	// anything else is an error that says what it is. The path has slashes; no
	// part of it may be a link.
	open(path string) (*os.File, error)
	Close() error
}

// eachName calls add with each name of the directory that f is open on.
func eachName(f *os.File, add func(string) error) error {
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			if err := add(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return plain(err)
		}
	}
}

// volume is one file system of a stick.
type volume struct {
	directory
	device string // kernel name, "sda1"; the directory's path for a desk
	target string // where it is mounted
	fold   bool   // FAT, exFAT, NTFS: names are compared without case
	found  found

	searched bool // found is what there is
}

// search lists the root directory and returns what is wanted of it.
func (v *volume) search() (found, error) {
	s := search{fold: v.fold}
	count := 0
	err := v.names(func(name string) error {
		if count++; count > MaxEntries {
			return fmt.Errorf("more than %d names in the root directory: move what is not for a board into a folder", MaxEntries)
		}
		s.add(name)
		return nil
	})
	if err != nil {
		return found{}, fmt.Errorf("list %s: %w", v.device, err)
	}
	slices.Sort(s.images)
	s.found.images = s.images
	return s.found, nil
}

// read returns the whole content of the file name, read once. A file larger
// than limit bytes is refused, as is one that grows while it is read. Where
// memory is not nil, the content is taken out of it, and release gives it back.
func (v *volume) read(ctx context.Context, name string, limit int64, memory *budget) (data []byte, release func(), err error) {
	f, size, err := v.openSized(ctx, name)
	if err != nil {
		return nil, nil, plain(err)
	}
	release = func() {}
	if size > limit {
		err = fmt.Errorf("it has %s, the limit is %s", Bytes(size), Bytes(limit))
	} else if memory != nil {
		release, err = memory.take(ctx, size)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	var content []byte // not data, which the return below sets while an abandoned work goes on
	err = abandonable(ctx, ReadStall, ReadTotal, func(progress func()) error {
		defer f.Close()
		all, err := readAll(f, size, progress)
		content = all
		return err
	})
	if err != nil {
		release()
		return nil, nil, plain(err)
	}
	return content, release, nil
}

// openSized opens a file and returns its size in bytes.
func (v *volume) openSized(ctx context.Context, name string) (*os.File, int64, error) {
	var file *os.File
	var size int64
	err := abandonable(ctx, ReadStall, ReadStall, func(func()) error {
		f, err := v.open(name)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return err
		}
		file, size = f, info.Size()
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return file, size, nil
}

// readAll reads f, which has size bytes, to its end.
func readAll(f *os.File, size int64, progress func()) ([]byte, error) {
	buf := make([]byte, size+1) // one more, to see the end without growing
	for n := 0; ; {
		if int64(n) > size {
			return nil, errors.New("it grew while it was read")
		}
		m, err := f.Read(buf[n:min(len(buf), n+readChunk)])
		n += m
		progress()
		if errors.Is(err, io.EOF) {
			return buf[:n:n], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// readChunk is the most that is asked of a device at once, so that a slow one
// is seen to make progress.
const readChunk = 256 << 10

// abandonable runs work, which blocks as long as a device likes, and gives up
// waiting for it when it reports no progress for stall, when it takes longer
// than total, or when ctx ends. What work returns after that is dropped, so it
// must not touch what its caller reads unless it returned.
func abandonable(ctx context.Context, stall, total time.Duration, work func(progress func()) error) error {
	ticks := make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() {
		done <- work(func() {
			select {
			case ticks <- struct{}{}:
			default:
			}
		})
	}()
	end, idle := time.NewTimer(total), time.NewTimer(stall)
	defer end.Stop()
	defer idle.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ticks:
			idle.Reset(stall)
		case <-idle.C:
			return fmt.Errorf("%w (nothing came for %v): try it again, then another stick", errAbandoned, stall)
		case <-end.C:
			return fmt.Errorf("%w in time (%v): try it again, then another stick", errAbandoned, total)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// plain takes the path out of a *fs.PathError: the caller names the file.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// Bytes writes a number of bytes in the binary unit that suits it.
func Bytes(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	value, unit := float64(n), ""
	for _, unit = range units {
		if value /= 1024; value < 1024 {
			break
		}
	}
	if value == float64(int64(value)) {
		return fmt.Sprintf("%d %s", int64(value), unit)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
