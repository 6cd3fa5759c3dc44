// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"strconv"
	"time"
)

// Kind is a sort of pattern.
type Kind int

// What a LED can show.
const (
	Off   Kind = iota
	On         // steadily
	Blink      // an image is being installed: 250 ms on, 250 ms off
	Code       // a failure: N flashes, a pause, again
)

// The rhythms (docs/technician.md). A code's period is its flashes, each with the
// dark time after it, and then the pause.
const (
	BlinkOn   = 250 * time.Millisecond
	BlinkOff  = 250 * time.Millisecond
	FlashOn   = 200 * time.Millisecond
	FlashOff  = 300 * time.Millisecond
	CodePause = 1500 * time.Millisecond

	// MaxFlashes bounds the flashes of a code: nobody counts more.
	MaxFlashes = 9
)

// The codes: what failed, as the number of flashes.
const (
	CodeUnreadable = 2 // the stick cannot be read
	CodeKeyring    = 3 // keyring refused
	CodeRefused    = 4 // script refused
	CodeScript     = 5 // script ended with a non-zero status, or its end is unknown
	CodeImage      = 6 // image not installed
)

// Pattern is what a LED shows. The zero value is a dark LED.
type Pattern struct {
	Kind Kind
	N    int // flashes of a Code, 1 to MaxFlashes
}

// String is the pattern in a word for logs and status: "off", "on", "blink",
// "code 3".
func (p Pattern) String() string {
	switch p.Kind {
	case On:
		return "on"
	case Blink:
		return "blink"
	case Code:
		return "code " + strconv.Itoa(p.N)
	default:
		return "off"
	}
}

// normal makes equal what looks equal: a code without flashes is dark.
func (p Pattern) normal() Pattern {
	if p.Kind != Code {
		p.N = 0
	} else if p.N <= 0 {
		return Pattern{}
	}
	p.N = min(p.N, MaxFlashes)
	return p
}

// rhythm returns for how long a pattern is bright, dark, bright and so on
// before it starts again; nil for a pattern without rhythm.
func (p Pattern) rhythm() []time.Duration {
	switch p.Kind {
	case Blink:
		return []time.Duration{BlinkOn, BlinkOff}
	case Code:
		var r []time.Duration
		for range p.N {
			r = append(r, FlashOn, FlashOff)
		}
		r[len(r)-1] += CodePause
		return r
	}
	return nil
}

// Stick is what the LED has to know of one stick in a port.
type Stick struct {
	Working    bool   // being searched, keyring or script at work
	Installing bool   // an image is being installed
	Rebooting  bool   // an image was installed and the system is about to restart
	Code       int    // its first failure, 0 for none
	Order      uint64 // later sticks have a higher one
}

// Choose returns what the LED shows for all sticks that are in: the work of
// any before the failure of one, and of several failures the most recent
// stick's. errorCodes false shows no failures (led.error_codes).
func Choose(sticks []Stick, errorCodes bool) Pattern {
	var working, installing, rebooting bool
	var failed Stick
	for _, s := range sticks {
		working = working || s.Working
		installing = installing || s.Installing
		rebooting = rebooting || s.Rebooting
		if s.Code > 0 && (failed.Code == 0 || s.Order >= failed.Order) {
			failed = s
		}
	}
	switch {
	case rebooting:
		return Pattern{Kind: On}
	case installing:
		return Pattern{Kind: Blink}
	case working:
		return Pattern{Kind: On}
	case failed.Code > 0 && errorCodes:
		return Pattern{Kind: Code, N: failed.Code}
	}
	return Pattern{}
}
