// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"testing"
	"time"
)

// TestTrace: what tests conclude from the LED's edges.
func TestTrace(t *testing.T) {
	began := time.Unix(1000, 0)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	trace := func(on bool, ms ...int) *Trace {
		tr := &Trace{}
		for _, m := range ms {
			tr.add(at(m), on)
			on = !on
		}
		return tr
	}
	// Off, then twice a group of three flashes, 1.5 s apart.
	three := trace(false, 0, 2000, 2200, 2500, 2700, 3000, 3200, 4700, 4900, 5200, 5400, 5700, 5900, 7400)
	blinking := trace(false, 0, 1000, 1250, 1500, 1750, 2000, 2250, 2500)
	// What a starved machine makes of 250 ms and of 200 and 300.
	slow := trace(false, 0, 1000, 1380, 1760, 2140, 2520, 2900, 3280, 3660, 4040, 4420, 4800, 5180, 5560, 5940, 6320, 6700)
	slower := trace(false, 0, 1000, 1780, 2560, 3340, 4120, 4900, 5680, 6460, 7240, 8020, 8800, 9580, 10360, 11140, 11920, 12700)
	late := trace(false, 0, 2000, 2400, 2800, 3250, 3700, 3900, 5400, 5800)
	for _, c := range []struct {
		name         string
		trace        *Trace
		since        int
		code, blinks int
	}{
		{"both groups", three, 0, 3, 0},
		{"since within the first group", three, 2600, 3, 0},
		{"since within the second", three, 5300, 0, 0},
		{"a group that has not ended", trace(false, 0, 2000, 2200, 2500, 2700), 0, 0, 0},
		{"solid, then off", trace(false, 0, 2000, 5000, 9000), 0, 0, 0},
		{"installing", blinking, 0, 0, 3},
		{"installing, starved", slow, 0, 0, 7},
		{"installing, starved still more", slower, 0, 0, 7},
		{"as many as a code may have", trace(false, 0, 1000, 1380, 1760, 2140, 2520, 2900, 3280, 3660, 4040, 4420, 4800, 5180, 5560), 0, 0, 0},
		{"a code, starved", late, 0, 3, 0},
		{"off between two solids", trace(true, 0, 2000, 4000, 5000, 7000, 9000), 0, 0, 0},
		{"a spike", trace(false, 0, 2000, 2050, 4000, 4050, 6000), 0, 0, 0},
		{"installing, seen late", blinking, 1900, 0, 1},
	} {
		if code, blinks := c.trace.Code(at(c.since)), c.trace.Blinks(at(c.since)); code != c.code || blinks != c.blinks {
			t.Errorf("%s: code %d, %d blinks; want %d and %d", c.name, code, blinks, c.code, c.blinks)
		}
	}
	if first, ok := three.FirstOn(at(2100)); !ok || first != at(2500) {
		t.Errorf("first on after 2.1 s: %v, %v", first, ok)
	}
}
