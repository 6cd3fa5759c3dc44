// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"sync"
)

// budget bounds the memory of scripts that were read and wait for their turn.
// A device that never finishes keeps what it asked for until it is abandoned,
// so the whole must be more than one script may have.
type budget struct {
	mu      sync.Mutex
	free    int64
	changed chan struct{} // closed and replaced when something is given back
}

func newBudget(size int64) *budget { return &budget{free: size, changed: make(chan struct{})} }

// take waits until n bytes are free. It returns the function that gives them
// back, which may be called more than once.
func (b *budget) take(ctx context.Context, n int64) (func(), error) {
	for {
		b.mu.Lock()
		if n <= b.free {
			b.free -= n
			b.mu.Unlock()
			return sync.OnceFunc(func() { b.give(n) }), nil
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	close(b.changed)
	b.changed = make(chan struct{})
}
