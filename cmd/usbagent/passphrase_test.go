// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMaxPassphrase: a passphrase file of the largest size, and a larger one.
func TestMaxPassphrase(t *testing.T) {
	c := SignCmd{PassphraseFile: filepath.Join(t.TempDir(), "passphrase")}
	whole := strings.Repeat("x", maxPassphrase)
	for text, want := range map[string]string{whole: whole, whole + "\n": ""} {
		if err := os.WriteFile(c.PassphraseFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := c.passphrase(); string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%d bytes: %d bytes, %v", len(text), len(got), err)
		}
	}
}
