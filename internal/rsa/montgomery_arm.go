// SPDX-License-Identifier: GPL-3.0-or-later

//go:build arm.7

package rsa

import (
	"math/big"
	"math/bits"
)

// montgomery multiplies modulo one odd number (P. L. Montgomery, Modular
// multiplication without trial division, 1985): a product is divided by R, the
// power of two that has one digit more than the modulus, by adding multiples of
// the modulus that make its lower half zero. So a number x stands for itself as
// x·R modulo the modulus.
type montgomery struct {
	modulus *big.Int
	digits  []big.Word
	inverse big.Word   // of -modulus, modulo 2^32
	product []big.Word // twice as long as digits
}

// newMontgomery returns nil for a modulus that the method is not for.
func newMontgomery(modulus *big.Int) *montgomery {
	digits := modulus.Bits()
	if len(digits)%wordsAtOnce != 0 || len(digits) == 0 || modulus.Sign() < 0 || modulus.Bit(0) == 0 {
		return nil
	}
	// An odd number is its own inverse modulo 8; each step doubles the bits.
	inverse := digits[0]
	for range 4 {
		inverse *= 2 - digits[0]*inverse
	}
	return &montgomery{modulus, digits, -inverse, make([]big.Word, 2*len(digits))}
}

// power returns x to the power of e, e being positive and x less than the
// modulus.
func (m *montgomery) power(x *big.Int, e int) *big.Int {
	n := len(m.digits)
	base := new(big.Int).Lsh(x, uint(n*bits.UintSize))
	base.Rem(base, m.modulus)
	b, z, last := make([]big.Word, n), make([]big.Word, n), make([]big.Word, n)
	copy(b, base.Bits())
	copy(z, b)
	for bit := bits.Len(uint(e)) - 2; bit >= 0; bit-- {
		m.multiply(z, z, z)
		if bit > 0 && e>>bit&1 != 0 {
			m.multiply(z, z, b)
		}
	}
	// What is multiplied by last has no R of its own, so none is left.
	if last[0] = 1; e > 1 && e&1 != 0 {
		copy(last, x.Bits())
	}
	m.multiply(z, z, last)
	r := new(big.Int).SetBits(z)
	return r.Rem(r, m.modulus)
}

// multiply sets z, of the modulus' length as x and y are, to x·y/R modulo the
// modulus, or to more than that by it, but less than R.
func (m *montgomery) multiply(z, x, y []big.Word) {
	n := len(m.digits)
	clear(m.product)
	var carry uint64
	p := m.product
	for _, digit := range y {
		part := p[:n+1]
		carry += uint64(addMultiple(part[:n], x, digit))
		carry += uint64(addMultiple(part[:n], m.digits, part[0]*m.inverse))
		part[n] = big.Word(carry)
		carry >>= bits.UintSize
		p = p[1:]
	}
	copy(z, p)
	if carry == 0 {
		return
	}
	var borrow uint
	for i, d := range m.digits {
		var w uint
		w, borrow = bits.Sub(uint(z[i]), uint(d), borrow)
		z[i] = big.Word(w)
	}
}

// wordsAtOnce is what addMultiple takes in one round.
const wordsAtOnce = 16

// addMultiple adds x·y to z, which has x's length, a multiple of wordsAtOnce,
// and returns what is carried out of it.
//
//go:noescape
func addMultiple(z, x []big.Word, y big.Word) (carry big.Word)
