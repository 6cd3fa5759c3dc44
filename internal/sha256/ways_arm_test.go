// SPDX-License-Identifier: GPL-3.0-or-later

//go:build arm.7

package sha256

import "testing"

// EachWay runs test with the assembly for NEON, where the processor has it, and with
// the plain one.
func EachWay(t *testing.T, test func(t *testing.T)) {
	was := neon
	defer func() { neon = was }()
	if was {
		t.Run("NEON", test)
	}
	neon = false
	t.Run("scalar", test)
}
