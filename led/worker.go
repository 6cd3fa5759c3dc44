// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"errors"
	"time"
)

// worker is what the LED's goroutine knows.
type worker struct {
	led      *LED
	drv      driver // nil until it opens
	reported bool   // the first failure was told

	rhythm []time.Duration // bright, dark, bright, … of the pattern, nil if none
	step   int             // index in rhythm of the time that runs
	timer  *time.Timer
}

// run shows patterns until the end.
func (w *worker) run() {
	defer close(w.led.done)
	w.timer = time.NewTimer(time.Hour)
	w.timer.Stop()
	for {
		select {
		case <-w.led.changed:
			w.takeUp()
		case <-w.timer.C:
			w.advance()
		case dark := <-w.led.quit:
			w.end(dark)
			return
		}
	}
}

// takeUp begins the latest pattern.
func (w *worker) takeUp() {
	p, fresh := w.led.next()
	if !fresh {
		return
	}
	w.timer.Stop()
	w.rhythm = nil
	w.report(w.begin(p))
}

// begin shows a pattern, or the start of its rhythm.
func (w *worker) begin(p Pattern) error {
	if err := w.ensure(); err != nil {
		return err
	}
	if p.Kind == Blink {
		err := w.drv.blink(BlinkOn, BlinkOff)
		if !errors.Is(err, errSoftware) {
			return err
		}
	}
	if r := p.rhythm(); r != nil {
		w.rhythm, w.step = r, 0
		w.timer.Reset(r[0])
	}
	err := w.drv.take()
	return errors.Join(err, w.drv.set(p.Kind != Off))
}

// ensure opens the LED where that did not work before.
func (w *worker) ensure() (err error) {
	if w.drv == nil {
		w.drv, err = w.led.open()
	}
	return err
}

// advance goes on to the next time of the rhythm. A failure does not end it:
// the LED may come back.
func (w *worker) advance() {
	if w.rhythm == nil {
		return
	}
	w.step = (w.step + 1) % len(w.rhythm)
	w.timer.Reset(w.rhythm[w.step])
	w.report(w.drv.set(w.step%2 == 0))
}

// end takes up what was told last, makes the LED dark if asked to, and
// releases it.
func (w *worker) end(dark bool) {
	w.takeUp()
	w.timer.Stop()
	if w.drv == nil {
		return
	}
	var err error
	if dark {
		err = errors.Join(w.drv.take(), w.drv.set(false))
	}
	w.led.failure = errors.Join(err, w.drv.close())
}

// report tells the first failure.
func (w *worker) report(err error) {
	if err == nil || w.reported {
		return
	}
	w.reported = true
	if w.led.onError != nil {
		w.led.onError(err)
	}
}
