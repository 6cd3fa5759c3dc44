// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// LEDPoll is the time between two looks at the LED's register. Half a blink
// lasts 250 ms and a flash 200 ms.
const LEDPoll = 16 * time.Millisecond

// Edge is a change of the LED, seen from outside.
type Edge struct {
	At      time.Time
	On      bool
	Console int64 // how much was on the console by then
}

// Trace is what the LED did since the board started, oldest first; the first
// edge is its state at the first look.
type Trace struct {
	mu    sync.Mutex
	edges []Edge
	size  func() int64 // of the console, nil for none
	last  time.Time
}

// watch looks at the register until ctx or QEMU ends.
func (t *Trace) watch(ctx context.Context, read func() (bool, error)) {
	tick := time.NewTicker(LEDPoll)
	defer tick.Stop()
	for {
		on, err := read()
		if err != nil {
			return
		}
		t.add(time.Now(), on)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (t *Trace) add(now time.Time, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = now
	if n := len(t.edges); n == 0 || t.edges[n-1].On != on {
		e := Edge{At: now, On: on}
		if t.size != nil {
			e.Console = t.size()
		}
		t.edges = append(t.edges, e)
	}
}

// Edges returns what happened since that time, and before it the state it
// began with.
func (t *Trace) Edges(since time.Time) []Edge {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := 0
	for i, e := range t.edges {
		if e.At.Before(since) {
			first = i
		}
	}
	return append([]Edge(nil), t.edges[first:]...)
}

// On is the LED's state at the last look.
func (t *Trace) On() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.edges) > 0 && t.edges[len(t.edges)-1].On
}

// Steady is how long the LED has not changed.
func (t *Trace) Steady() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.edges) == 0 {
		return 0
	}
	return t.last.Sub(t.edges[len(t.edges)-1].At)
}

// FirstOn is when the LED first went on after since.
func (t *Trace) FirstOn(since time.Time) (time.Time, bool) {
	for _, e := range t.Edges(since) {
		if e.On && !e.At.Before(since) {
			return e.At, true
		}
	}
	return time.Time{}, false
}

// Blinks counts full periods of the 2 Hz installation blink: on and off for
// 250 ms each, give or take what a loaded machine adds. The flashes of an error
// code, on for 200 ms and off for 300 ms, are none; but more of them without a
// pause than any code has are a blink, however much slower the machine made it.
func (t *Trace) Blinks(since time.Time) int {
	edges := t.Edges(since)
	count, row, exact := 0, 0, 0 // exact is how many of the row are in count
	for i := 0; i+2 < len(edges); i++ {
		if !edges[i].On {
			continue
		}
		a, b := edges[i+1].At.Sub(edges[i].At), edges[i+2].At.Sub(edges[i+1].At)
		if a > maxFlash || b > minPause {
			row, exact = 0, 0
			continue
		}
		row++
		if near(a, 250*time.Millisecond) && near(b, 250*time.Millisecond) && (b-a).Abs() < BlinkTolerance/2 {
			exact++
			count++
		}
		if row > maxFlashes {
			count += row - exact
			exact = row
		}
	}
	return count
}

// BlinkTolerance is how far a measured time of the blink may be from the wanted
// one where there are few.
const BlinkTolerance = 90 * time.Millisecond

// What tells flashes from other things on a machine that is late by several
// hundred milliseconds now and then; package led's tests have the rhythm to the
// millisecond.
const (
	minFlash   = 100 * time.Millisecond // 200 are meant; on for less is no flash of a code
	maxFlash   = time.Second            // on for longer is solid
	minPause   = time.Second            // off for longer ends a group; 300 ms are meant within one, 1.5 s between two
	maxFlashes = 6                      // of the highest code
)

func near(got, want time.Duration) bool {
	return got > want-BlinkTolerance && got < want+BlinkTolerance
}

// Code counts the flashes of the newest complete group of an error code: 200
// ms on, 300 ms off, groups 1.5 s apart. A group whose beginning was before
// since does not count. 0 means there is no such group.
func (t *Trace) Code(since time.Time) int {
	edges := t.Edges(since)
	flashes, code, whole := 0, 0, false
	for i := 0; i+1 < len(edges); i++ {
		lasted := edges[i+1].At.Sub(edges[i].At)
		switch {
		case edges[i].On && lasted > minFlash && lasted < maxFlash:
			flashes++
		case edges[i].On:
			flashes, whole = 0, false
		case lasted > minPause:
			if flashes > 0 && whole {
				code = flashes
			}
			flashes, whole = 0, true
		}
	}
	return code
}

// Pattern is what the LED shows now, in words.
func (t *Trace) Pattern() string {
	recent := time.Now().Add(-5 * time.Second)
	switch {
	case t.Steady() > 2*time.Second && t.On():
		return "on"
	case t.Steady() > 2*time.Second:
		return "off"
	case t.Blinks(time.Now().Add(-2*time.Second)) > 1:
		return "blinking"
	case t.Code(recent) > 0:
		return fmt.Sprintf("%d flashes", t.Code(recent))
	case t.On():
		return "on"
	}
	return "changing"
}

// String lists the edges as seconds from the first, for a failed test's log.
func (t *Trace) String() string {
	edges := t.Edges(time.Time{})
	var b strings.Builder
	for i, e := range edges {
		if i > 0 {
			fmt.Fprintf(&b, " %+.3f", e.At.Sub(edges[0].At).Seconds())
		}
		b.WriteString(map[bool]string{true: " on", false: " off"}[e.On])
	}
	return strings.TrimSpace(b.String())
}
