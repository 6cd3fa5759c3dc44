// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"slices"
	"sync"
	"time"
)

// pending collects what events say until Next takes it, in bounded memory.
type pending struct {
	ready chan struct{} // holds a token when there may be something to take

	mu       sync.Mutex
	hint     Hint
	some     bool  // hint says something
	err      error // nothing more will come
	counters Counters
}

// repeat reports whether an event of the disk name would add nothing to what
// waits for Next already, and counts it then. Whoever takes the hint looks at
// the disk later than the kernel sent this event.
func (p *pending) repeat(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.hint.Lost || slices.Contains(p.hint.Disks, name)
	if known {
		p.counters.Block++
	}
	return known
}

// add notes an event of the disk name. seq is the DISKSEQ that the kernel
// announced it with, 0 for any other event.
func (p *pending) add(name string, seq uint64) {
	p.note(func() {
		p.counters.Block++
		switch {
		case p.hint.Lost || slices.Contains(p.hint.Disks, name):
		case len(p.hint.Disks) < MaxPending:
			p.hint.Disks = append(p.hint.Disks, name)
			if seq != 0 {
				p.hint.announce(name, seq)
			}
		default:
			p.hint.lose()
		}
	})
}

func (h *Hint) announce(name string, seq uint64) {
	if h.Announced == nil {
		h.Announced = make(map[string]uint64)
	}
	h.Announced[name] = seq
}

// lose has the hint say nothing but that all is to be looked at.
func (h *Hint) lose() { h.Lost, h.Disks, h.Announced = true, nil, nil }

// lose notes that the kernel dropped events.
func (p *pending) lose() {
	p.note(func() {
		p.counters.Overruns++
		p.hint.lose()
	})
}

// note runs f, which changes the hint, and wakes Next.
func (p *pending) note(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.some {
		p.some, p.hint.First = true, time.Now()
	}
	f()
	p.signal()
}

// end notes that nothing more will come, and why.
func (p *pending) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	p.signal()
}

func (p *pending) signal() {
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// take returns the hint if there is one; else the error that ended it all.
func (p *pending) take() (hint Hint, some bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.some {
		if p.err != nil {
			p.signal() // so that every later Next returns as well
		}
		return Hint{}, false, p.err
	}
	hint, p.hint, p.some = p.hint, Hint{}, false
	return hint, true, nil
}

func (p *pending) count(f func(*Counters)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.counters)
}

func (p *pending) counted() Counters {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counters
}
