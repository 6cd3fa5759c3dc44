// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLockWait: a daemon that starts beside another one waits lockWait for it.
func TestLockWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	const once = 20 * time.Millisecond // between two tries
	synctest.Test(t, func(t *testing.T) {
		other, err := lockMachine(path)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, err = lockMachine(path)
		if took := time.Since(begun); err == nil || !strings.Contains(err.Error(), "another usbagent") || took < lockWait || took > lockWait+once {
			t.Errorf("%v after %v, want it after %v", err, took, lockWait)
		}
		time.AfterFunc(lockWait-once, func() { other.Close() })
		f, err := lockMachine(path)
		if err != nil {
			t.Fatalf("the other ended in time: %v", err)
		}
		f.Close()
	})
}
