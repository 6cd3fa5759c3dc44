// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// chunk is what one read gave.
type chunk struct {
	b   []byte
	err error
}

// copy copies Size bytes from Source to w. The reads happen in a goroutine
// that is left alone when the device does not answer; nobody waits for it.
func (r StageRequest) copy(ctx context.Context, w io.Writer) error {
	stop := make(chan struct{})
	defer close(stop)
	chunks, free := make(chan chunk), make(chan []byte, 2)
	free <- make([]byte, stageBuffer)
	free <- make([]byte, stageBuffer)
	go pump(io.LimitReader(r.Source, r.Size), free, chunks, stop)
	window := r.Window
	if window == 0 {
		window = StageWindow
	}
	tick := time.NewTicker(window)
	defer tick.Stop()
	least := int64(window.Seconds() * StageMinRate)
	for done, before := int64(0), int64(0); done < r.Size; {
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
			if c.err != nil && done < r.Size {
				return readError(c.err, done)
			}
			free <- c.b[:cap(c.b)]
			if r.Progress != nil {
				r.Progress(done, r.Size)
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
