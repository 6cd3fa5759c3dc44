// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Package disk gives a test small file systems of its own, which it can fill,
// make read-only or lose. They are mounted below the test's temporary
// directory and are gone when the test ends.
package disk

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// Tmpfs mounts a tmpfs of size bytes and returns its directory.
func Tmpfs(t testing.TB, size string) string {
	t.Helper()
	need.Root(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755,size="+size); err != nil {
		t.Fatalf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// Ext4 makes an ext4 of size bytes (at least 2 MiB) in a file, mounts it by a
// loop device and returns its directory.
func Ext4(t testing.TB, size int64) string {
	t.Helper()
	need.Root(t)
	mkfs := need.Tool(t, "mkfs.ext4")
	base := t.TempDir()
	image, dir := filepath.Join(base, "image"), filepath.Join(base, "mnt")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	run(t, mkfs, "-q", "-F", "-b", "1024", "-m", "0", "-E", "lazy_itable_init=0", image)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, need.Tool(t, "mount"), "-o", "loop", image, dir)
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// ReadOnly makes the file system mounted at dir read-only.
func ReadOnly(t testing.TB, dir string) {
	t.Helper()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("remount %s read-only: %v", dir, err)
	}
}

// Fill writes a file until no byte is left, and returns what removes it.
func Fill(t testing.TB, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := 64 << 10; n > 0; {
		if _, err := f.Write(make([]byte, n)); err != nil {
			n /= 2
		}
	}
	f.Sync()
	return func() { os.Remove(path) }
}

// Immutable sets the file attribute that not even root gets past, and takes
// it away when the test ends.
func Immutable(t testing.TB, path string) {
	t.Helper()
	chattr := need.Tool(t, "chattr")
	run(t, chattr, "+i", path)
	t.Cleanup(func() { exec.Command(chattr, "-i", path).Run() })
}

func run(t testing.TB, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}
