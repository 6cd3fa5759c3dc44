// SPDX-License-Identifier: GPL-3.0-or-later

package detach

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// TestMaxStacked: as many mounts on one directory as are taken away, and one
// more: then all of them stay.
func TestMaxStacked(t *testing.T) {
	need.Root(t)
	pile := func(n int) string {
		target := stick(t, unix.MS_PRIVATE) // the first one
		for range n - 1 {
			if err := unix.Mount("more", target, "tmpfs", 0, ""); err != nil {
				t.Fatal(err)
			}
		}
		return target
	}
	if err := Connected(pile(maxStacked)); err != nil {
		t.Errorf("maxStacked mounts: %v", err)
	}
	target := pile(maxStacked + 1)
	if err := Connected(target); err == nil || !strings.Contains(err.Error(), "more than 256 mounts") {
		t.Errorf("one more: %v", err)
	}
	if !mounted(t, target) {
		t.Error("they are gone nevertheless")
	}
}
