// SPDX-License-Identifier: GPL-3.0-or-later

package raucbench

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// TestRealInstallation proves the bench itself, with rauc's own client.
func TestRealInstallation(t *testing.T) {
	b := For(t, Options{})
	content := bytes.Repeat([]byte("new system "), 10000)
	image, err := b.Bundle(Bundle{Version: "2", Content: content})
	if err != nil {
		t.Fatal(err)
	}
	install := exec.Command("rauc", "--conf="+b.Conf, "install", image)
	install.Env = append(os.Environ(), b.Env()...)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("rauc install: %v: %s", err, out)
	}
	if !b.Holds("B", content) || b.Holds("A", content) {
		t.Error("the image is not in slot B alone")
	}
	if slot, err := b.Reboot(); slot != "B" || err != nil {
		t.Errorf("booted %q, %v; want B", slot, err)
	}
}
