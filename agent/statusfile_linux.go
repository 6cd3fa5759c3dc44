// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"sync"

	"go.uber.org/zap"
)

// statusFile keeps status.json up to date without holding anybody up: changes
// that come while it is being written are written together.
type statusFile struct {
	path  string
	wake  chan struct{}
	mu    sync.Mutex
	state func() Status
}

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
func (f *statusFile) follow(ctx context.Context, log *zap.Logger) {
	complained := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		if err := f.flush(); err != nil && !complained {
			log.Error("status cannot be shown", zap.Error(err))
			complained = true
		}
	}
}
