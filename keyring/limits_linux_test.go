// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"usbagent/internal/durable"
)

// TestLockWait: a change waits for another process's, LockWait at most, and
// then changes nothing.
func TestLockWait(t *testing.T) {
	b := newBoard(t)
	alice := newAuthority(t, "Alice")
	if _, err := b.install(b.vendor, alice.pem); err != nil {
		t.Fatal(err)
	}
	other := func(t *testing.T) (unlock func()) {
		unlock, err := durable.Lock(filepath.Join(b.dir, durable.TemporaryPrefix+"lock-keyring.pem"), 0)
		if err != nil {
			t.Fatal(err)
		}
		return unlock
	}
	const once = 20 * time.Millisecond // between two tries
	synctest.Test(t, func(t *testing.T) {
		defer other(t)()
		begun := time.Now()
		_, err := b.store.Restore()
		if took := time.Since(begun); !errors.Is(err, syscall.EWOULDBLOCK) || took < LockWait || took > LockWait+once {
			t.Errorf("%v after %v, want it after %v", err, took, LockWait)
		}
	})
	b.expect(string(alice.pem), vendorLink, vendorLink)
	synctest.Test(t, func(t *testing.T) {
		time.AfterFunc(LockWait-once, other(t))
		if _, err := b.store.Restore(); err != nil {
			t.Errorf("the other was done in time: %v", err)
		}
	})
	b.expect(vendorLink, string(alice.pem), vendorLink)
}
