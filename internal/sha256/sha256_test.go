// SPDX-License-Identifier: GPL-3.0-or-later

package sha256_test

import (
	reference "crypto/sha256"
	"math/rand/v2"
	"sync"
	"testing"

	"usbagent/internal/sha256"
)

// Every length up to some blocks, at every address, in one piece.
func TestLengths(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	bytes := make([]byte, 1100)
	random.Read(bytes)
	sha256.EachWay(t, func(t *testing.T) {
		for offset := range 16 {
			for n := range 1000 {
				data := bytes[offset : offset+n]
				if got, want := sum(data), reference.Sum256(data); got != want {
					t.Fatalf("%d bytes at %d: %x, want %x", n, offset, got, want)
				}
			}
		}
	})
}

// The words that are all ones or zeros, and single bits, in each place.
func TestWords(t *testing.T) {
	sha256.EachWay(t, func(t *testing.T) {
		for i := range 64 * 8 {
			for _, fill := range []byte{0, 0xff} {
				data := make([]byte, 2*64)
				for j := range data {
					data[j] = fill
				}
				data[i/8] ^= 1 << (i % 8)
				if got, want := sum(data), reference.Sum256(data); got != want {
					t.Fatalf("bit %d: %x, want %x", i, got, want)
				}
			}
		}
	})
}

// Random pieces of one text; the digest may be asked for in between.
func TestPieces(t *testing.T) {
	sha256.EachWay(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		for range 300 {
			got, want := sha256.New(), reference.New()
			for range random.IntN(40) {
				piece := make([]byte, random.IntN(300)>>random.IntN(4))
				for i := range piece {
					piece[i] = byte(random.Uint32())
				}
				if n, err := got.Write(piece); n != len(piece) || err != nil {
					t.Fatal(n, err)
				}
				want.Write(piece)
				if random.IntN(3) == 0 {
					same(t, got.Sum(nil), want.Sum(nil))
				}
			}
			same(t, got.Sum([]byte("a")), want.Sum([]byte("a")))
		}
	})
}

// Several threads at once, interrupted by the collector's signals: each has its own
// registers.
func TestThreads(t *testing.T) {
	data := make([]byte, 1<<18)
	rand.NewChaCha8([32]byte{3}).Read(data)
	sha256.EachWay(t, func(t *testing.T) {
		var threads sync.WaitGroup
		for i := range 8 {
			threads.Go(func() {
				for n := range 8 {
					data := data[i : len(data)-n]
					garbage := make([]byte, len(data))
					copy(garbage, data)
					if got, want := sum(garbage), reference.Sum256(data); got != want {
						t.Errorf("%d, %d: %x, want %x", i, n, got, want)
					}
				}
			})
		}
		threads.Wait()
	})
}

func sum(data []byte) (sum [reference.Size]byte) {
	h := sha256.New()
	h.Write(data)
	h.Sum(sum[:0])
	return sum
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if string(got) != string(want) {
		t.Fatalf("%x, want %x", got, want)
	}
}

func BenchmarkSum256(b *testing.B) {
	data := make([]byte, 32<<10)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		sum(data)
	}
}
