// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMountExt(t *testing.T) {
	for _, fstype := range []string{"ext2", "ext3", "ext4"} {
		t.Run(fstype, func(t *testing.T) {
			d := loop(t, mkfs(t, 8<<20, "mkfs."+fstype, "-q", "-L", "STICK"), false)
			m := mounter(t)
			x := mounted(t, m, d)
			if x.Type != fstype || x.Label != "STICK" || x.FoldCase || x.Target != filepath.Join(m.o.Root, "STICK") {
				t.Errorf("mounted as %+v", x)
			}
			if err := os.WriteFile(filepath.Join(x.Target, "file"), nil, 0o644); err == nil {
				t.Error("the mount can be written to")
			}
			if err := x.Detach(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(x.Target); !os.IsNotExist(err) {
				t.Errorf("the mount point is still there: %v", err)
			}
		})
	}
}
