// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// recorder is a driver that notes what it is told, and when.
type recorder struct {
	hardware bool  // blinks by itself
	fail     error // of every call

	mu    sync.Mutex
	start time.Time
	calls []call
}

type call struct {
	at   time.Duration
	what string
}

func newRecorder() *recorder { return &recorder{start: time.Now()} }

func (r *recorder) note(what string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call{time.Since(r.start), what})
	return r.fail
}

func (r *recorder) take() error { return r.note("take") }

func (r *recorder) set(on bool) error {
	if on {
		return r.note("bright")
	}
	return r.note("dark")
}

func (r *recorder) blink(on, off time.Duration) error {
	if !r.hardware {
		return errSoftware
	}
	return r.note(fmt.Sprintf("blink %v %v", on, off))
}

func (r *recorder) close() error { return r.note("close") }

// taken returns the calls so far and forgets them; times count from then on.
func (r *recorder) taken() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls, r.start = nil, time.Now()
	return calls
}

// light returns the changes of light among calls.
func light(calls []call) []call {
	return slices.DeleteFunc(calls, func(c call) bool { return c.what != "bright" && c.what != "dark" })
}

func sameCalls(t *testing.T, got []call, want ...call) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func closeLED(t *testing.T, l *LED) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Error(err)
	}
}
