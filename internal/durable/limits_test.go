// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestMaxLinks: as many links on the way as the kernel follows, and one more.
func TestMaxLinks(t *testing.T) {
	dir := t.TempDir()
	target := "."
	for n := range maxLinks + 1 {
		name := fmt.Sprint(n)
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		target = name
	}
	if err := CheckDir(filepath.Join(dir, fmt.Sprint(maxLinks-1))); err != nil {
		t.Errorf("maxLinks links: %v", err)
	}
	if err := CheckDir(filepath.Join(dir, fmt.Sprint(maxLinks))); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("one more: %v, want ELOOP", err)
	}
}
