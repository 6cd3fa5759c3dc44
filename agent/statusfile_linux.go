// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"sync"
	"time"

	"usbagent/internal/logs"
)

// statusFile keeps status.json up to date without holding anybody up: changes
// that come while it is being written are written together.
type statusFile struct {
	path  string
	wake  chan struct{}
	mu    sync.Mutex
	state func() Status
	held  int           // times hold was called and not yet its release
	free  chan struct{} // closed when held becomes 0
}

// StatusHold is how long at most status.json is not written since something
// else is urgent.
const StatusHold = 250 * time.Millisecond

func newStatusFile(path string) *statusFile {
	return &statusFile{path: path, wake: make(chan struct{}, 1)}
}

// poke says that the state has changed; state returns it.
func (f *statusFile) poke(state func() Status) {
	f.mu.Lock()
	f.state = state
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// hold keeps follow from writing until release, which may be called again, or
// for StatusHold: on a single core the writing takes its time from the mount and
// from what has to be before the script.
func (f *statusFile) hold() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held++; f.held == 1 {
		f.free = make(chan struct{})
	}
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.held--; f.held == 0 {
			close(f.free)
		}
	})
}

// awaitFree waits while somebody holds the file.
func (f *statusFile) awaitFree(ctx context.Context) {
	f.mu.Lock()
	held, free := f.held > 0, f.free
	f.mu.Unlock()
	if !held {
		return
	}
	t := time.NewTimer(StatusHold)
	defer t.Stop()
	select {
	case <-free:
	case <-t.C:
	case <-ctx.Done():
	}
}

// flush writes the state now.
func (f *statusFile) flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == nil {
		return nil
	}
	return f.state().write(f.path)
}

// follow writes each change until ctx ends.
func (f *statusFile) follow(ctx context.Context, log *logs.Logger) {
	complained := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		f.awaitFree(ctx)
		if err := f.flush(); err != nil && !complained {
			log.Error("status cannot be shown", logs.Error(err))
			complained = true
		}
	}
}
