// SPDX-License-Identifier: GPL-3.0-or-later

// Package corpus gives fuzz targets their seeds, and fails where a corpus has
// been lost: a pattern that matches nothing must not pass as a test.
package corpus

import (
	"os"
	"path/filepath"
	"testing"
)

// Files returns the content of the files that match pattern; fewer than least
// of them fail the test.
func Files(t testing.TB, pattern string, least int) [][]byte {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) < least {
		t.Fatalf("the corpus %s has %d files (%v), want at least %d", pattern, len(names), err, least)
	}
	list := make([][]byte, len(names))
	for i, name := range names {
		if list[i], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return list
}
