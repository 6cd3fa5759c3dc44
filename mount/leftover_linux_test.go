// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestMaxLeftovers: a mount root with more names than are looked at costs no
// more than that many.
func TestMaxLeftovers(t *testing.T) {
	path := t.TempDir()
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for made, more := range []int{MaxLeftovers, 1} {
		for n := range more {
			if err := os.WriteFile(filepath.Join(path, fmt.Sprintf("%d-%d", made, n)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if names, err := entries(dir); err != nil || len(names) != MaxLeftovers {
			t.Errorf("%d names and %d more: %d are looked at, %v", MaxLeftovers, made, len(names), err)
		}
	}
}
