// SPDX-License-Identifier: GPL-3.0-or-later

package led

import "testing"

func TestChoose(t *testing.T) {
	on, off, blink := Pattern{Kind: On}, Pattern{}, Pattern{Kind: Blink}
	code := func(n int) Pattern { return Pattern{Kind: Code, N: n} }
	for _, c := range []struct {
		name   string
		sticks []Stick
		want   Pattern
	}{
		{"no stick", nil, off},
		{"finished well", []Stick{{Order: 1}}, off},
		{"at work", []Stick{{Working: true}}, on},
		{"installing", []Stick{{Working: true, Installing: true}}, blink},
		{"rebooting", []Stick{{Working: true, Rebooting: true}}, on},
		{"rebooting while another installs", []Stick{{Installing: true}, {Rebooting: true}}, on},
		{"one works, one installs", []Stick{{Working: true}, {Installing: true}}, blink},
		{"failed", []Stick{{Code: CodeKeyring}}, code(3)},
		{"at work after a failure", []Stick{{Code: CodeKeyring, Working: true}}, on},
		{"one failed, another at work", []Stick{{Code: CodeUnreadable, Order: 2}, {Working: true, Order: 1}}, on},
		{"two failed: the most recent", []Stick{{Code: CodeImage, Order: 7}, {Code: CodeUnreadable, Order: 3}}, code(6)},
		{"two failed, other order", []Stick{{Code: CodeUnreadable, Order: 3}, {Code: CodeImage, Order: 7}}, code(6)},
		{"the most recent is good", []Stick{{Code: CodeScript, Order: 1}, {Order: 2}}, code(5)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Choose(c.sticks, true); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			plain := c.want
			if plain.Kind == Code {
				plain = off
			}
			if got := Choose(c.sticks, false); got != plain {
				t.Errorf("without error codes: got %v, want %v", got, plain)
			}
		})
	}
}
