// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !arm.7

package sha256

import (
	"crypto/sha256"
	"hash"
)

// A Hash computes SHA-256.
type Hash struct{ hash.Hash }

// New begins a digest.
func New() Hash { return Hash{sha256.New()} }
