// SPDX-License-Identifier: GPL-3.0-or-later

// Package led shows one pattern at a time on one LED: off, on, blinking, or a
// failure's code in flashes.
//
// [Choose] decides what several sticks together show, [Open] picks the LED of
// the board, and [LED.Show] shows it.
//
// Failure model: a LED that is missing, held by another driver, or broken
// never stops or delays the work. Show only leaves word for the LED's own
// goroutine; a write that hangs holds up nothing but the LED; the first
// failure is reported once, and the next pattern tries again, so that a LED
// whose driver comes late still shines.
//
// A dark, a steady, and a LED that the kernel's timer trigger blinks wake
// nobody. Codes, and blinking where that trigger is missing, need the
// goroutine at each change of light.
package led

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// errSoftware says that a driver cannot blink by itself.
var errSoftware = errors.New("blinks in software only")

// driver switches one LED. Only the LED's goroutine calls it.
type driver interface {
	// take ends whatever the LED shows by itself (a trigger).
	take() error
	// set switches a LED that was taken.
	set(on bool) error
	// blink has the LED blink by itself, or fails with errSoftware.
	blink(on, off time.Duration) error
	// close releases the LED as it is.
	close() error
}

// LED is one LED and the goroutine that switches it. Its methods may be called
// from any goroutine.
type LED struct {
	open    func() (driver, error) // tried again at each pattern until it works
	onError func(error)

	mu    sync.Mutex
	want  Pattern
	fresh bool // want was not taken up yet
	ever  bool // Show was called

	changed chan struct{} // holds a token when want is fresh
	quit    chan bool     // receives whether the LED shall be dark at the end
	done    chan struct{}
	ending  sync.Once
	failure error // of the end; read after done
}

// start runs the LED that open opens. drv is what open gave already, or nil.
func start(drv driver, open func() (driver, error), onError func(error), reported bool) *LED {
	l := &LED{open: open, onError: onError,
		changed: make(chan struct{}, 1), quit: make(chan bool, 1), done: make(chan struct{})}
	w := worker{led: l, drv: drv, reported: reported}
	go w.run()
	return l
}

// Show shows p from now on. It never waits for the LED: the latest pattern
// wins. The pattern that is shown already goes on undisturbed.
func (l *LED) Show(p Pattern) {
	p = p.normal()
	l.mu.Lock()
	if l.ever && l.want == p {
		l.mu.Unlock()
		return
	}
	l.want, l.fresh, l.ever = p, true, true
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	l.yield()
}

// yields is how often Show lets the LED's goroutine go first. Once would do,
// but every 61st time the scheduler prefers who yielded.
const yields = 3

// yield lets the LED's goroutine take up the pattern. On a single core it
// would otherwise run only when the caller next waits, and a mount can take
// its time: light first. Should the LED hang, the scheduler takes the
// processor back within 10 ms.
func (l *LED) yield() {
	for range yields {
		runtime.Gosched()
		l.mu.Lock()
		fresh := l.fresh
		l.mu.Unlock()
		if !fresh {
			return
		}
	}
}

// Shown returns the pattern that Show was last given.
func (l *LED) Shown() Pattern {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.want
}

// Close turns the LED off and ends. It waits for that no longer than ctx.
func (l *LED) Close(ctx context.Context) error { return l.end(ctx, true) }

// Leave ends and leaves the LED as it was told last, for a system that goes
// down with the light on. A rhythm kept by software stops where it is.
func (l *LED) Leave(ctx context.Context) error { return l.end(ctx, false) }

func (l *LED) end(ctx context.Context, dark bool) error {
	l.ending.Do(func() { l.quit <- dark })
	select {
	case <-l.done:
		return l.failure
	case <-ctx.Done():
		return fmt.Errorf("close LED: %w", ctx.Err())
	}
}

// next returns a pattern that was not taken up yet.
func (l *LED) next() (Pattern, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := l.fresh
	l.fresh = false
	return l.want, fresh
}
