// SPDX-License-Identifier: GPL-3.0-or-later

package spelling_test

import (
	"strings"
	"testing"

	"usbagent/internal/spelling"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"autorun.sh", "autorun.sh", 0}, {"atorun.sh", "autorun.sh", 1}, {"auotrun.sh", "autorun.sh", 2},
		{"verify", "verify", 0}, {"verif", "verify", 1}, {"vreify", "verify", 2}, {"verity", "verify", 1},
		{"", "ab", 2}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"colour", "color", 1}, {"\xff\x00", "ab", 2},
		{"frobnicate", "run", 3}, {strings.Repeat("a", 1<<20), "a", 3},
	} {
		if got := spelling.Distance(c.a, c.b); got != c.want {
			t.Errorf("Distance(%.20q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := spelling.Distance(c.b, c.a); got != c.want {
			t.Errorf("Distance(%q, %.20q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
}
