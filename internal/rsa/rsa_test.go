// SPDX-License-Identifier: GPL-3.0-or-later

package rsa_test

import (
	"crypto"
	reference "crypto/rsa"
	"crypto/sha256"
	"math/big"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"usbagent/internal/rsa"
	"usbagent/test/need"
)

var exponents = []int{1, 2, 3, 4, 5, 17, 257, 65537, 65539, 1<<31 - 1}

// Random numbers of every length that keys have, and of such as they have not.
func TestRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 31, 32, 64, 127, 128, 129, 160, 512, 1000, 1024, 1536, 2047, 2048, 2049, 3072, 4096} {
		for range 12 {
			m := number(random, size)
			m.SetBit(m, size-1, 1)
			s := number(random, size)
			same(t, m, exponents[random.IntN(len(exponents))], s.Rem(s, m))
		}
	}
}

// What lets carries run through everything: digits of ones or zeros only.
func TestCarries(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		m := runs(random, 1024)
		m.SetBit(m.SetBit(m, 1023, 1), 0, 1)
		s := runs(random, 1024)
		same(t, m, exponents[random.IntN(len(exponents))], s.Rem(s, m))
	}
	all := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 2048), big.NewInt(1))
	for _, s := range []*big.Int{new(big.Int), big.NewInt(1), new(big.Int).Sub(all, big.NewInt(1))} {
		for _, e := range exponents {
			same(t, all, e, s)
		}
	}
}

// A modulus that is even, or one.
func TestOddModuli(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	m := number(random, 2048)
	m.SetBit(m.SetBit(m, 2047, 1), 0, 0)
	same(t, m, 65537, number(random, 2000))
	same(t, big.NewInt(1), 65537, new(big.Int))
}

func same(t *testing.T, m *big.Int, e int, s *big.Int) {
	t.Helper()
	before, modulus := new(big.Int).Set(s), new(big.Int).Set(m)
	got := rsa.VP1(m, e, s)
	if want := new(big.Int).Exp(s, big.NewInt(int64(e)), m); got.Cmp(want) != 0 {
		t.Fatalf("%x ^ %d mod %x: %x, want %x", s, e, m, got, want)
	}
	if s.Cmp(before) != 0 || m.Cmp(modulus) != 0 {
		t.Fatalf("an argument was changed")
	}
}

func number(random *rand.Rand, size int) *big.Int {
	bytes := make([]byte, (size+7)/8)
	for i := range bytes {
		bytes[i] = byte(random.Uint32())
	}
	n := new(big.Int).SetBytes(bytes)
	return n.Rsh(n, uint(len(bytes)*8-size))
}

// runs returns a number of long runs of ones and zeros.
func runs(random *rand.Rand, size int) *big.Int {
	n := new(big.Int)
	for bit, value := 0, uint(0); bit < size; value ^= 1 {
		for end := min(size, bit+1+random.IntN(200)); bit < end; bit++ {
			n.SetBit(n, bit, value)
		}
	}
	return n
}

// TestOnARM runs these tests as the board would, instruction by instruction.
func TestOnARM(t *testing.T) {
	if runtime.GOARCH == "arm" {
		return
	}
	program := filepath.Join(t.TempDir(), "rsa.test")
	cmd := exec.Command("go", "test", "-c", "-o", program, ".")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm", "GOARM=7")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(need.Tool(t, "qemu-arm-static"), program, "-test.v").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestCarries") {
		t.Errorf("%v\n%s", err, out)
	}
}

// BenchmarkVP1 compares with math/big, which it is on other processors, and with
// crypto/rsa, whose verification has a few hundred bytes more to do.
func BenchmarkVP1(b *testing.B) {
	key, err := reference.GenerateKey(nil, 2048)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	sig, err := reference.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	s, e := new(big.Int).SetBytes(sig), big.NewInt(int64(key.E))
	b.Run("VP1", func(b *testing.B) {
		for b.Loop() {
			rsa.VP1(key.N, key.E, s)
		}
	})
	b.Run("Exp", func(b *testing.B) {
		for b.Loop() {
			new(big.Int).Exp(s, e, key.N)
		}
	})
	b.Run("crypto", func(b *testing.B) {
		for b.Loop() {
			if err := reference.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], sig); err != nil {
				b.Fatal(err)
			}
		}
	})
}
