// SPDX-License-Identifier: GPL-3.0-or-later

//go:build arm.7

package sha256

import (
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/sys/cpu"
)

// A Hash computes SHA-256. What it hashes may begin at any address; whole blocks
// are not copied.
type Hash struct {
	state [8]uint32
	rest  [sha256.BlockSize]byte
	size  uint64 // bytes so far, of which size % BlockSize are in rest
}

// New begins a digest (FIPS 180-4, 5.3.3).
func New() *Hash {
	return &Hash{state: [8]uint32{
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	}}
}

// Write takes p in. It never fails.
func (d *Hash) Write(p []byte) (int, error) {
	n := len(p)
	used := int(d.size % sha256.BlockSize)
	d.size += uint64(n)
	if used > 0 {
		m := copy(d.rest[used:], p)
		if p = p[m:]; used+m < sha256.BlockSize {
			return n, nil
		}
		compress(&d.state, d.rest[:])
	}
	if whole := len(p) &^ (sha256.BlockSize - 1); whole > 0 {
		compress(&d.state, p[:whole])
		p = p[whole:]
	}
	copy(d.rest[:], p)
	return n, nil
}

// Sum appends the digest of what was written so far to b (padding: FIPS 180-4,
// 5.1.1).
func (d *Hash) Sum(b []byte) []byte {
	var end [2 * sha256.BlockSize]byte
	n := copy(end[:], d.rest[:d.size%sha256.BlockSize])
	end[n] = 0x80
	blocks := end[:sha256.BlockSize]
	if n+1+8 > len(blocks) {
		blocks = end[:]
	}
	binary.BigEndian.PutUint64(blocks[len(blocks)-8:], 8*d.size)
	state := d.state
	compress(&state, blocks)
	for _, word := range state {
		b = binary.BigEndian.AppendUint32(b, word)
	}
	return b
}

// neon is whether the processor has NEON: the kernel says so (HWCAP); GOARM=7 alone
// does not promise it.
var neon = cpu.ARM.HasNEON

// compress takes whole blocks of data, at least one, into the state.
func compress(state *[8]uint32, data []byte) {
	if neon {
		compressNEON(state, data)
	} else {
		compressScalar(state, data)
	}
}

//go:noescape
func compressNEON(state *[8]uint32, data []byte)

//go:noescape
func compressScalar(state *[8]uint32, data []byte)

// constants of the rounds (FIPS 180-4, 4.2.2), which the assembly reads.
var constants = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
