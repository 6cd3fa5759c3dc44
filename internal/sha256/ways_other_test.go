// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !arm.7

package sha256

import "testing"

// EachWay runs test with the one implementation that there is.
func EachWay(t *testing.T, test func(t *testing.T)) { t.Run("standard", test) }
