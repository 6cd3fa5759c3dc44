// SPDX-License-Identifier: GPL-3.0-or-later

package ledger

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"usbagent/internal/durable"
)

// TestLockWait: who holds the state directory's lock holds up a change for
// LockWait at most; it is then kept in memory, told of, and saved with the next.
func TestLockWait(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, "boot")
	const once = 20 * time.Millisecond // between two tries
	synctest.Test(t, func(t *testing.T) {
		unlock, err := durable.Lock(filepath.Join(dir, lockName), 0)
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func() error{
			"change": func() error { return l.PutStick(Stick{DiskSeq: 1}) },
			"open":   func() error { _, err := Open(dir, "boot"); return err },
		} {
			begun := time.Now()
			err := change()
			if took := time.Since(begun); !errors.Is(err, syscall.EWOULDBLOCK) || took < LockWait || took > LockWait+once {
				t.Errorf("%s: %v after %v, want it after %v", name, err, took, LockWait)
			}
		}
		if list := l.Sticks(); len(list) != 1 {
			t.Errorf("it is not in memory: %+v", list)
		}
		time.AfterFunc(LockWait-once, unlock)
		if err := l.PutStick(Stick{DiskSeq: 2}); err != nil {
			t.Errorf("the other was done in time: %v", err)
		}
	})
	if list := open(t, dir, "boot").Sticks(); len(list) != 2 {
		t.Errorf("stored: %+v", list)
	}
}
