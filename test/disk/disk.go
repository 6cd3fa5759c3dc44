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
	image := filepath.Join(t.TempDir(), "image")
	MakeExt4(t, image, size)
	return Mount(t, image)
}

// MakeExt4 makes an ext4 of size bytes in the file image.
func MakeExt4(t testing.TB, image string, size int64) {
	t.Helper()
	need.Root(t)
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	run(t, need.Tool(t, "mkfs.ext4"), "-q", "-F", "-b", "1024", "-m", "0", "-E", "lazy_itable_init=0", image)
}

// Mount mounts image by a loop device until the test ends. Nothing is written
// on its own account for five minutes.
func Mount(t testing.TB, image string) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(image), "mnt")
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o755)
	run(t, need.Tool(t, "mount"), "-t", "ext4", "-o", "loop,commit=300", image, dir)
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
