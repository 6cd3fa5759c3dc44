// SPDX-License-Identifier: GPL-3.0-or-later

package detach

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// stick makes a mount at dir/stick with a file "name" that another file is
// bound over; dir is a mount of the given propagation, as / is on a board.
func stick(t *testing.T, propagation uintptr) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("root", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	if err := unix.Mount("", dir, "", propagation, ""); err != nil {
		t.Fatal(err)
	}
	target, covered, cover := filepath.Join(dir, "stick"), filepath.Join(dir, "stick", "name"), filepath.Join(dir, "cover")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("stick", target, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(covered, []byte("below"), 0o644)
	os.WriteFile(cover, []byte("cover"), 0o644)
	if err := unix.Mount(cover, covered, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	return target
}

// inside starts a process in target that prints "name" when its stdin ends.
func inside(t *testing.T, target string) (finish func() string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "echo; read x; cat name")
	cmd.Dir = target
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.Read(make([]byte, 1))
	return func() string {
		in.Close()
		text := make([]byte, 64)
		n, _ := out.Read(text)
		cmd.Wait()
		return string(text[:n])
	}
}

func mounted(t *testing.T, path string) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(table), " "+path)
}

// The reason for this package: a lazy unmount uncovers the file.
func TestLazyUnmountUncovers(t *testing.T) {
	need.Root(t)
	target := stick(t, unix.MS_PRIVATE)
	finish := inside(t, target)
	if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if got := finish(); got != "below" {
		t.Errorf("after a lazy unmount the name holds %q: the kernel keeps mounts connected now, and this package can go", got)
	}
}

func TestConnectedKeepsTheCover(t *testing.T) {
	need.Root(t)
	for name, propagation := range map[string]uintptr{"private": unix.MS_PRIVATE, "shared": unix.MS_SHARED} {
		target := stick(t, propagation)
		finish := inside(t, target)
		if err := Connected(target); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(target); !os.IsNotExist(err) || mounted(t, target) {
			t.Errorf("%s: mount or directory left: %v", name, err)
		}
		if got := finish(); got != "cover" {
			t.Errorf("%s: the process inside sees %q, want the cover", name, got)
		}
	}
}

func TestConnectedLeavesOtherMounts(t *testing.T) {
	need.Root(t)
	one, other := stick(t, unix.MS_SHARED), stick(t, unix.MS_SHARED)
	if err := Connected(one); err != nil {
		t.Fatal(err)
	}
	if !mounted(t, other) {
		t.Error("another mount went too")
	}
	if err := Connected(one); err == nil {
		t.Error("detaching what is not there succeeded")
	}
}

func TestConnectedKeepsOwnNamespace(t *testing.T) {
	need.Root(t)
	before, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := Connected(stick(t, unix.MS_SHARED)); err != nil {
			t.Fatal(err)
		}
		if now, _ := os.Readlink("/proc/self/ns/mnt"); now != before {
			t.Fatalf("the process's first thread went from %s to %s", before, now)
		}
	}
}
