// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !arm.7

package rsa

import "math/big"

type montgomery struct{}

// newMontgomery returns nil: math/big does it.
func newMontgomery(*big.Int) *montgomery { return nil }

func (*montgomery) power(*big.Int, int) *big.Int { return nil }
