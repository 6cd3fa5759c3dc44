// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"os"
	"path/filepath"
	"testing"

	"usbagent/test/need"
)

// ntfsStick is an NTFS image with one file.
func ntfsStick(t *testing.T, label string) string {
	t.Helper()
	image := mkfs(t, 8<<20, "mkntfs", "-q", "-F", "-f", "-L", label)
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, []byte("hello"))
	run(t, need.Tool(t, "ntfscp"), "-q", "-f", image, file, "Größe.txt")
	return image
}

func TestMountNTFS3G(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ntfs-3g")
	d := loop(t, ntfsStick(t, "STICK"), false)
	m := mounter(t)
	x := mounted(t, m, d)
	if x.Type != "ntfs" || x.Driver != "ntfs-3g" || !x.FoldCase {
		t.Errorf("mounted as %+v", x)
	}
	b, err := os.ReadFile(filepath.Join(x.Target, "Größe.txt"))
	if err != nil || string(b) != "hello" {
		t.Errorf("%q %v", b, err)
	}
}

// TestMountNTFS3GFewCapabilities: what deploy/usbagent.service grants is
// enough. Without CAP_MKNOD the jail has the system's own device node, which
// ntfs-3g could open for writing: to the stick that it came from, and nothing
// else.
func TestMountNTFS3GFewCapabilities(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ntfs-3g")
	run(t, need.Tool(t, "setpriv"), "--bounding-set=-all,+sys_admin,+dac_read_search", "--inh-caps=-all", "--no-new-privs",
		os.Args[0], "-test.run=^(TestMountNTFS3G|TestRecoverNTFS3G|TestDetachUncoversNothing|TestMountExt)$", "-test.count=1")
}
