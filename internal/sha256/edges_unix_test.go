// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package sha256_test

import (
	reference "crypto/sha256"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/internal/sha256"
)

// Nothing is read before the data and behind it, where there may be no memory.
func TestEdges(t *testing.T) {
	page := unix.Getpagesize()
	memory, err := unix.Mmap(-1, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	data := memory[page : 2*page]
	rand.NewChaCha8([32]byte{2}).Read(data)
	for _, edge := range [][]byte{memory[:page], memory[2*page:]} {
		if err := unix.Mprotect(edge, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	sha256.EachWay(t, func(t *testing.T) {
		for n := range 300 {
			for _, data := range [][]byte{data[:n], data[page-n:]} {
				if got, want := sum(data), reference.Sum256(data); got != want {
					t.Fatalf("%d bytes: %x, want %x", n, got, want)
				}
			}
		}
	})
}
