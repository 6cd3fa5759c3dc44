// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"bytes"
	"testing"
)

// TestRecent: the same bytes are parsed once, two keyrings at a time; what
// differs, what is no keyring and what is larger than MaxRecent is parsed anew.
func TestRecent(t *testing.T) {
	alice, bob, carol := newAuthority(t, "Alice"), newAuthority(t, "Bob"), newAuthority(t, "Carol")
	first, err := keyringOf(alice.pem)
	if err != nil {
		t.Fatal(err)
	}
	second, _ := keyringOf(bob.pem)
	if again, err := keyringOf(bytes.Clone(alice.pem)); err != nil || again != first {
		t.Errorf("the same bytes were parsed again: %v", err)
	}
	if again, err := keyringOf(bob.pem); err != nil || again != second || again == first {
		t.Errorf("the bytes before last were not remembered, or others: %v", err)
	}
	changed := append(bytes.Clone(alice.pem), '\n')
	if other, err := keyringOf(changed); err != nil || other == first {
		t.Errorf("one byte more: %v, the same keyring: %v", err, other == first)
	}
	if other, _ := keyringOf(alice.pem); other == first {
		t.Error("more than two keyrings are remembered")
	}
	keyringOf(carol.pem)
	for range 2 {
		if k, err := keyringOf([]byte("no keyring")); err == nil || k != nil {
			t.Errorf("no keyring: %v, %v", k, err)
		}
	}
	room := MaxRecent - len(alice.pem)
	for _, c := range []struct {
		spaces int
		kept   bool
	}{{room, true}, {room + 1, false}} {
		large := append(bytes.Clone(alice.pem), bytes.Repeat([]byte("\n"), c.spaces)...)
		one, err := keyringOf(large)
		if err != nil {
			t.Fatal(err)
		}
		if two, _ := keyringOf(large); (one == two) != c.kept {
			t.Errorf("%d bytes: remembered %v, want %v", len(large), one == two, c.kept)
		}
	}
	// What the caller does with its bytes afterwards changes nothing.
	mine := bytes.Clone(bob.pem)
	kept, _ := keyringOf(mine)
	clear(mine)
	if k, err := keyringOf(bob.pem); err != nil || k != kept {
		t.Errorf("the remembered bytes are the caller's: %v", err)
	}
}
