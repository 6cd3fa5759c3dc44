// SPDX-License-Identifier: GPL-3.0-or-later

package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/internal/durable"
	"usbagent/test/disk"
	"usbagent/test/need"
)

// TestFSType: what a restart empties, be it behind an overlay.
func TestFSType(t *testing.T) {
	ext4, tmpfs := disk.Ext4(t, 2<<20), disk.Tmpfs(t, "1m")
	overlay := func(base, options string) string {
		dir := t.TempDir()
		for _, name := range []string{"upper", "work"} {
			if err := os.Mkdir(filepath.Join(base, name), 0o755); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
		}
		err := unix.Mount("overlay", dir, "overlay", 0, "lowerdir=/usr/share,upperdir="+base+"/upper,workdir="+base+"/work"+options)
		if err != nil {
			need.Machine(t, "a kernel with overlays ("+err.Error()+")")
		}
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
		return dir
	}
	tests := map[string]struct {
		dir      string
		volatile bool
	}{
		"ext4":               {ext4, false},
		"tmpfs":              {tmpfs, true},
		"overlay over tmpfs": {overlay(tmpfs, ""), true},
		"overlay over ext4":  {overlay(ext4, ""), false},
	}
	for name, tt := range tests {
		if got, volatile, err := durable.FSType(tt.dir); err != nil || volatile != tt.volatile {
			t.Errorf("%s: %s, %v, %v", name, got, volatile, err)
		}
	}
}
