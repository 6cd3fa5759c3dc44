// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// loop attaches image to a loop device of this test's own.
func loop(t testing.TB, image string, readOnly bool) Device {
	t.Helper()
	need.Root(t)
	flag := os.O_RDWR
	if readOnly {
		flag = os.O_RDONLY
	}
	back, err := os.OpenFile(image, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	node := attachLoop(t, back, readOnly)
	t.Cleanup(func() {
		unix.IoctlSetInt(int(node.Fd()), unix.LOOP_CLR_FD, 0)
		node.Close()
	})
	return describe(t, node)
}

// attachLoop asks for a free loop device until it is the first to use it:
// others on this machine do the same.
func attachLoop(t testing.TB, back *os.File, readOnly bool) *os.File {
	t.Helper()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	for range 100 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Fatal(err)
		}
		node, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		config := unix.LoopConfig{Fd: uint32(back.Fd())}
		if readOnly {
			config.Info.Flags = unix.LO_FLAGS_READ_ONLY
		}
		err = unix.IoctlLoopConfigure(int(node.Fd()), &config)
		if err == nil {
			return node
		}
		node.Close()
		if !errors.Is(err, unix.EBUSY) {
			t.Fatal(err)
		}
	}
	t.Fatal("no free loop device")
	return nil
}

func describe(t testing.TB, node *os.File) Device {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(node.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	seq, err := diskSeq(node)
	if err != nil {
		t.Fatal(err)
	}
	return Device{
		Name: filepath.Base(node.Name()), Path: node.Name(),
		Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev), DiskSeq: seq,
	}
}

// mounter is a Mounter with a root and a run directory of its own.
func mounter(t testing.TB, change ...func(*Options)) *Mounter {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o := Options{Root: filepath.Join(dir, "media"), RunDir: filepath.Join(dir, "run"), Fmask: 0o022, Dmask: 0o022}
	for _, c := range change {
		c(&o)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// mounted mounts d and detaches it at the end of the test.
func mounted(t testing.TB, m *Mounter, d Device) *Mount {
	t.Helper()
	x, err := m.Mount(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Detach(); err != nil {
			t.Error(err)
		}
	})
	return x
}
