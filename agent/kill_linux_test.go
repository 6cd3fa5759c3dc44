// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killRounds is how often the daemon is killed.
const killRounds = 40

// TestKilledAtAnyMoment kills the daemon at random moments while a stick
// rotates the keyring and runs a script, and checks after each that the keyring
// is whole, that no script ran twice, that what was started is known, and that
// a new daemon ends properly and leaves nothing behind.
func TestKilledAtAnyMoment(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := newBench(t)
	old, replaced := read(t, vendor.Keyring), read(t, customer.Keyring)
	span := 60 * time.Millisecond
	moments := make(map[string]int)
	for i := range killRounds {
		b.must(os.RemoveAll(filepath.Dir(b.keyringPath())))
		b.must(os.MkdirAll(filepath.Dir(b.keyringPath()), 0o755))
		b.must(copyFile(vendor.Keyring, filepath.Join(b.dir, "etc/rauc/vendor.pem")))
		b.must(os.Symlink("vendor.pem", b.keyringPath()))
		f := b.keyringFiles()
		f["autorun.sh"] = fmt.Sprintf("#!/bin/sh\necho %d >>%s/out\n", i, b.dir)
		f.sign(b, "autorun.sh", customer)
		image := b.stick("KILL", f)
		b.start()
		begun := time.Now()
		device := b.plug(image)
		time.Sleep(time.Duration(random.Int64N(int64(span))))
		b.stop(syscall.SIGKILL)
		after := read(t, b.keyringPath())
		if after != old && after != replaced {
			t.Fatalf("round %d: the keyring is neither the old nor the new one: %q", i, after)
		}
		moments[b.moment(i, after == replaced)]++
		b.start()
		s := b.done(device)
		if read(t, b.keyringPath()) != replaced {
			t.Errorf("round %d: the keyring is not the new one in the end", i)
		}
		switch ran := strings.Count("\n"+b.out(), fmt.Sprintf("\n%d\n", i)); {
		case ran > 1:
			t.Errorf("round %d: the script ran %d times", i, ran)
		case ran == 0 && s.Code != 5:
			t.Errorf("round %d: the script did not run and the stick has code %d: %+v", i, s.Code, s.Steps)
		}
		b.pull(device)
		b.stop(syscall.SIGTERM)
		if left := b.mounts(); len(left) != 0 {
			t.Fatalf("round %d: mounts left: %v", i, left)
		}
		if left, _ := os.ReadDir(filepath.Join(b.dir, "media")); len(left) != 0 {
			t.Fatalf("round %d: directories left: %v", i, left)
		}
		if i == 0 {
			span = min(4*time.Since(begun)/3, 100*time.Millisecond)
		}
	}
	t.Logf("where the daemon was when it was killed: %v", moments)
}

// moment says how far the daemon had come.
func (b *bench) moment(i int, rotated bool) string {
	switch {
	case strings.Contains("\n"+b.out(), fmt.Sprintf("\n%d\n", i)):
		return "script ran"
	case rotated:
		return "rotated"
	}
	return "before the rotation"
}
