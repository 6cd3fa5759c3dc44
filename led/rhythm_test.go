// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

// These tests run in a bubble whose clock jumps to the next timer: the times
// are exact, and "nothing for an hour" takes no hour.

func TestCodeFlashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		l := start(r, nil, nil, false)
		l.Show(Pattern{Kind: Code, N: 3})
		time.Sleep(6100 * ms)
		sameCalls(t, light(r.taken()),
			call{0, "bright"}, call{200 * ms, "dark"},
			call{500 * ms, "bright"}, call{700 * ms, "dark"},
			call{1000 * ms, "bright"}, call{1200 * ms, "dark"},
			call{3000 * ms, "bright"}, call{3200 * ms, "dark"}, // 300 ms of the flash and 1.5 s of pause
			call{3500 * ms, "bright"}, call{3700 * ms, "dark"},
			call{4000 * ms, "bright"}, call{4200 * ms, "dark"},
			call{6000 * ms, "bright"})
		closeLED(t, l)
		sameCalls(t, r.taken(), call{0, "take"}, call{0, "dark"}, call{0, "close"})
	})
}

func TestEveryCodeHasItsFlashes(t *testing.T) {
	for n := 1; n <= MaxFlashes; n++ {
		synctest.Test(t, func(t *testing.T) {
			r := newRecorder()
			l := start(r, nil, nil, false)
			l.Show(Pattern{Kind: Code, N: n})
			time.Sleep(time.Duration(n)*(FlashOn+FlashOff) + CodePause - ms)
			bright := 0
			for _, c := range r.taken() {
				if c.what == "bright" {
					bright++
				}
			}
			if bright != n {
				t.Errorf("code %d: %d flashes in one period", n, bright)
			}
			closeLED(t, l)
		})
	}
}

func TestBlinkInSoftware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		l := start(r, nil, nil, false)
		l.Show(Pattern{Kind: Blink})
		time.Sleep(800 * ms)
		sameCalls(t, r.taken(), call{0, "take"}, call{0, "bright"},
			call{250 * ms, "dark"}, call{500 * ms, "bright"}, call{750 * ms, "dark"})
		l.Show(Pattern{Kind: On})
		time.Sleep(time.Hour)
		sameCalls(t, r.taken(), call{0, "take"}, call{0, "bright"})
		closeLED(t, l)
	})
}

func TestBlinkByTheKernelWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		r.hardware = true
		l := start(r, nil, nil, false)
		for _, p := range []Pattern{{Kind: Blink}, {Kind: On}, {}} {
			l.Show(p)
			synctest.Wait()
			r.taken()
			time.Sleep(time.Hour)
			sameCalls(t, r.taken())
		}
		closeLED(t, l)
	})
}

func TestSamePatternGoesOnUndisturbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		l := start(r, nil, nil, false)
		for range 10 {
			l.Show(Pattern{Kind: Code, N: 2})
			time.Sleep(90 * ms)
		}
		sameCalls(t, light(r.taken()), call{0, "bright"}, call{200 * ms, "dark"}, call{500 * ms, "bright"}, call{700 * ms, "dark"})
		closeLED(t, l)
	})
}

func TestFirstOffIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder() // an earlier run may have left the light on
		l := start(r, nil, nil, false)
		l.Show(Pattern{})
		synctest.Wait()
		sameCalls(t, r.taken(), call{0, "take"}, call{0, "dark"})
		closeLED(t, l)
	})
}

func TestLeaveKeepsTheLight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		l := start(r, nil, nil, false)
		l.Show(Pattern{Kind: On})
		if err := l.Leave(context.Background()); err != nil {
			t.Error(err)
		}
		sameCalls(t, r.taken(), call{0, "take"}, call{0, "bright"}, call{0, "close"})
	})
}

func TestPatternsWithoutMeaning(t *testing.T) {
	for _, c := range []struct {
		in   Pattern
		want string
	}{
		{Pattern{Kind: Code}, "off"}, {Pattern{Kind: Code, N: -1}, "off"}, {Pattern{Kind: On, N: 4}, "on"},
		{Pattern{Kind: Code, N: MaxFlashes + 1}, "code 9"}, {Pattern{Kind: Blink, N: 1}, "blink"}, {Pattern{Kind: 17}, "off"},
	} {
		if got := c.in.normal().String(); got != c.want {
			t.Errorf("%+v is %q, want %q", c.in, got, c.want)
		}
	}
}

// stuck is a LED whose writes never return.
type stuck struct {
	*recorder
	free chan struct{}
}

func (s stuck) take() error { <-s.free; return nil }

func TestHangingLEDHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stuck{newRecorder(), make(chan struct{})}
		l := start(s, nil, nil, false)
		for n := range 1000 {
			l.Show(Pattern{Kind: Code, N: n % 5})
			l.Show(Pattern{Kind: On})
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close of a hanging LED: %v", err)
		}
		close(s.free)
		synctest.Wait()
	})
}

func TestLatestPatternWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stuck{newRecorder(), make(chan struct{})}
		l := start(s, nil, nil, false)
		l.Show(Pattern{Kind: On})
		synctest.Wait() // hangs in the first pattern
		for n := range 9 {
			l.Show(Pattern{Kind: Code, N: n})
		}
		l.Show(Pattern{})
		close(s.free)
		synctest.Wait()
		sameCalls(t, s.taken(), call{0, "bright"}, call{0, "dark"})
		closeLED(t, l)
	})
}

func TestFailureIsReportedOnceAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		r.fail = errors.New("no such device")
		var told []string
		l := start(r, nil, func(err error) { told = append(told, err.Error()) }, false)
		l.Show(Pattern{Kind: Code, N: 2})
		time.Sleep(time.Minute)
		l.Show(Pattern{Kind: On})
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(told) != 1 || !strings.Contains(told[0], "no such device") {
			t.Errorf("told %q", told)
		}
		r.mu.Lock()
		r.fail = nil
		r.mu.Unlock()
		r.taken()
		l.Show(Pattern{Kind: Blink})
		time.Sleep(300 * ms)
		sameCalls(t, light(r.taken()), call{0, "bright"}, call{250 * ms, "dark"})
		closeLED(t, l)
	})
}

func TestLateLEDStillShines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, missing := newRecorder(), true
		open := func() (driver, error) {
			if missing {
				return nil, errors.New("not yet")
			}
			return r, nil
		}
		l := start(nil, open, func(err error) { t.Errorf("told again: %v", err) }, true)
		l.Show(Pattern{Kind: On})
		synctest.Wait()
		missing = false
		l.Show(Pattern{Kind: Code, N: 2})
		synctest.Wait()
		sameCalls(t, r.taken(), call{0, "take"}, call{0, "bright"})
		closeLED(t, l)
	})
}

// TestLightBeforeWork: when Show returns on a single core, as the board has,
// the LED has been written, whatever the caller does next.
func TestLightBeforeWork(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := newRecorder()
	l := start(r, nil, nil, false)
	late := 0
	for n := range 1000 {
		p := Pattern{Kind: On}
		if n%2 == 1 {
			p = Pattern{}
		}
		l.Show(p)
		if len(r.taken()) == 0 {
			late++
		}
	}
	if late > 10 { // a garbage collection may take its turn in between
		t.Errorf("%d of 1000 times the caller went on first", late)
	}
	closeLED(t, l)
}

func TestRhythmsBeginBright(t *testing.T) {
	want := []time.Duration{200 * ms, 300 * ms, 200 * ms, 1800 * ms}
	if got := (Pattern{Kind: Code, N: 2}).rhythm(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
