// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

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

// TestHelperLimits: the kernel holds the running ntfs-3g to its limits.
func TestHelperLimits(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ntfs-3g")
	x := mounted(t, mounter(t), loop(t, ntfsStick(t, "STICK"), false))
	for resource, want := range map[int]uint64{unix.RLIMIT_AS: MaxHelperMemory, unix.RLIMIT_NOFILE: MaxHelperFiles, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_CORE: 0} {
		var got unix.Rlimit
		if err := unix.Prlimit(x.helper.PID, resource, nil, &got); err != nil || got.Max != want || got.Cur != want {
			t.Errorf("limit %d is %+v (%v), want %d", resource, got, err, want)
		}
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
