// SPDX-License-Identifier: GPL-3.0-or-later

package executedlist

import (
	"strings"
	"testing"
)

// TestMaxHead: a sum is looked for within the first maxHead bytes of a line.
func TestMaxHead(t *testing.T) {
	const sum = "0123456789abcdef0123456789abcdef"
	for more, want := range []int{1, 0} {
		line := strings.Repeat(" ", maxHead-len(sum)+more) + sum + "\n"
		if sums, err := Parse(strings.NewReader(line)); err != nil || len(sums) != want {
			t.Errorf("a sum that ends %d bytes behind maxHead: %x, %v, want %d", more, sums, err, want)
		}
	}
}
