// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package faults

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"usbagent/test/need"
)

func TestMain(m *testing.M) {
	Main(m, map[string]Prepare{
		"careless": func(dir string) (func() error, error) {
			return func() error { // as the shell: rm, then cat >
				os.Remove(filepath.Join(dir, "file"))
				return os.WriteFile(filepath.Join(dir, "file"), []byte("new"), 0o600)
			}, nil
		},
	})
}

// TestPowerCutsAreSeen: the tests that nothing is lost would see it if
// something were.
func TestPowerCutsAreSeen(t *testing.T) {
	need.Root(t)
	setup := func(dir string) { os.WriteFile(filepath.Join(dir, "file"), []byte("old"), 0o600) }
	var mu sync.Mutex // the checks run side by side
	states := map[string]int{}
	see := func(dir, after string) {
		text, _ := os.ReadFile(filepath.Join(dir, "file"))
		mu.Lock()
		defer mu.Unlock()
		states[after+":"+string(text)]++
	}
	PowerCuts(t, "careless", setup, func(t *testing.T, dir string, o Outcome) {
		see(dir, "power")
	})
	Every(t, "careless", setup, func(t *testing.T, dir string, o Outcome) {
		if o.Killed {
			see(dir, "kill")
		}
	})
	// Nothing was synced, so the power cut brings the old file back even after
	// the operation returned; the kill shows the instants without a file.
	if states["power:old"] == 0 || states["power:new"] != 0 || states["kill:"] == 0 {
		t.Errorf("states after the cuts: %v", states)
	}
}
