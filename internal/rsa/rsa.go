// SPDX-License-Identifier: GPL-3.0-or-later

// Package rsa is RSA's public operation, for verifications: nothing in one is
// secret, so nothing is done to hide it, unlike in crypto/rsa. On ARMv7 it has
// assembly, and takes a third of the instructions that math/big's Exp does
// (docs/performance.md). Package signature calls it, and is alone in that: who
// signs or decrypts has secrets, and must not.
package rsa

import "math/big"

// VP1 is RSAVP1 (RFC 8017, 5.2.2): signature to the power of exponent, modulo
// modulus. It leaves its arguments alone. signature is not negative and less
// than modulus, which is positive, and exponent is positive.
func VP1(modulus *big.Int, exponent int, signature *big.Int) *big.Int {
	if m := newMontgomery(modulus); m != nil && exponent > 0 {
		return m.power(signature, exponent)
	}
	return new(big.Int).Exp(signature, big.NewInt(int64(exponent)), modulus)
}
