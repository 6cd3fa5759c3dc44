// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// put writes a file below root.
func put(root *os.File, name, content string) error {
	fd, err := unix.Openat(int(root.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.WriteString(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// mountOptions are the options of the mount at target, and of its superblock.
func mountOptions(t *testing.T, target string) (mount, super []string) {
	t.Helper()
	infos, err := mountsAt(target)
	if err != nil || len(infos) != 1 {
		t.Fatalf("%v %v", infos, err)
	}
	return strings.Split(infos[0].Options, ","), strings.Split(infos[0].VFSOptions, ",")
}

// TestWrite writes to each ext, and looks at what everybody sees before,
// meanwhile and after.
func TestWrite(t *testing.T) {
	for _, fstype := range []string{"ext2", "ext3", "ext4"} {
		t.Run(fstype, func(t *testing.T) {
			image := mkfs(t, 8<<20, "mkfs."+fstype, "-q", "-L", "STICK", "-e", "panic")
			x := mounted(t, mounter(t), loop(t, image, false))
			before, superBefore := mountOptions(t, x.Target)
			err := x.Write(func(root *os.File) error {
				if during, super := mountOptions(t, x.Target); !slices.Equal(before, during) || !slices.Contains(super, "rw") {
					t.Errorf("meanwhile the mount has %v (%v), before %v", during, super, before)
				}
				if err := os.WriteFile(filepath.Join(x.Target, "other"), nil, 0o644); !errors.Is(err, unix.EROFS) {
					t.Errorf("somebody else writes meanwhile: %v", err)
				}
				return put(root, "receipt", "done\n")
			})
			if err != nil {
				t.Fatal(err)
			}
			after, superAfter := mountOptions(t, x.Target)
			if !slices.Equal(before, after) || !slices.Equal(superBefore, superAfter) {
				t.Errorf("after: %v %v, before: %v %v", after, superAfter, before, superBefore)
			}
			if text, err := os.ReadFile(filepath.Join(x.Target, "receipt")); err != nil || string(text) != "done\n" {
				t.Errorf("%q, %v", text, err)
			}
			if err := x.Detach(); err != nil {
				t.Fatal(err)
			}
			if err := x.Write(func(*os.File) error { t.Error("written"); return nil }); err == nil {
				t.Error("a detached mount was written to")
			}
			run(t, need.Tool(t, "e2fsck"), "-fn", image)
		})
	}
}

// TestWriteConfines: nothing on the stick is executed, is a device, has
// privileges or leads elsewhere through the writable mount; and what is mounted
// over a name of the stick is not part of it.
func TestWriteConfines(t *testing.T) {
	root := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(root, "tool"), []byte("#!/bin/sh\n"), 0o755),
		os.Symlink("tool", filepath.Join(root, "link")), os.WriteFile(filepath.Join(root, "name"), []byte("of the stick"), 0o644)); err != nil {
		t.Fatal(err)
	}
	x := mounted(t, mounter(t), loop(t, ext4Stick(t, "STICK", "-d", root), false))
	over := filepath.Join(t.TempDir(), "over")
	if err := os.WriteFile(over, []byte("verified"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(over, filepath.Join(x.Target, "name"), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	err := x.Write(func(root *os.File) error {
		dir := "/proc/self/fd/" + strconv.Itoa(int(root.Fd()))
		if err := exec.Command(dir + "/tool").Run(); !errors.Is(err, unix.EACCES) {
			t.Errorf("executed: %v", err)
		}
		if _, err := os.ReadFile(dir + "/link"); !errors.Is(err, unix.ELOOP) {
			t.Errorf("a link was followed: %v", err)
		}
		if text, err := os.ReadFile(dir + "/name"); string(text) != "of the stick" {
			t.Errorf("%q, %v", text, err)
		}
		var st unix.Statfs_t
		if err := unix.Fstatfs(int(root.Fd()), &st); err != nil || st.Flags&unix.ST_NOSUID == 0 || st.Flags&unix.ST_NODEV == 0 {
			t.Errorf("flags %#x, %v", st.Flags, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestWriteRefused: what cannot be written is not touched.
func TestWriteRefused(t *testing.T) {
	never := func(*os.File) error { t.Error("called"); return nil }
	x := mounted(t, mounter(t), loop(t, ext4Stick(t, "STICK"), true))
	if err := x.Write(never); !errors.Is(err, ErrWriteProtected) {
		t.Errorf("write-protected: %v", err)
	}
	ntfs := Mount{Type: "ntfs", Driver: "ntfs-3g"}
	if err := ntfs.Write(never); !errors.Is(err, ErrReadOnlyType) {
		t.Errorf("ntfs: %v", err)
	}
	// The device became write-protected after it was mounted.
	d := loop(t, ext4Stick(t, "STICK"), false)
	x = mounted(t, mounter(t), d)
	run(t, need.Tool(t, "blockdev"), "--setro", d.Path)
	if err := x.Write(never); !errors.Is(err, unix.EACCES) {
		t.Errorf("write-protected by now: %v", err)
	}
	run(t, need.Tool(t, "blockdev"), "--setrw", d.Path)
}

// TestWriteFails: the error is the caller's, and the file system is read-only
// again.
func TestWriteFails(t *testing.T) {
	x := mounted(t, mounter(t), loop(t, ext4Stick(t, "STICK"), false))
	mine := errors.New("mine")
	if err := x.Write(func(*os.File) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("%v", err)
	}
	if _, super := mountOptions(t, x.Target); !slices.Contains(super, "ro") {
		t.Errorf("still writable: %v", super)
	}
}

// TestProtect: a file system that a killed run left writable is read-only again.
func TestProtect(t *testing.T) {
	x := mounted(t, mounter(t), loop(t, ext4Stick(t, "STICK"), false))
	if err := reconfigure(x.root, "rw"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it has nothing to do
		if err := x.Protect(); err != nil {
			t.Fatal(err)
		}
		if _, super := mountOptions(t, x.Target); !slices.Contains(super, "ro") {
			t.Errorf("still writable: %v", super)
		}
	}
}

// TestWriteWhileDetached: a stick that is pulled meanwhile does not hold up
// its detaching, and the file system ends with the writing.
func TestWriteWhileDetached(t *testing.T) {
	m := mounter(t)
	d := loop(t, ext4Stick(t, "STICK"), false)
	x := mounted(t, m, d)
	err := x.Write(func(root *os.File) error {
		if err := x.Detach(); err != nil {
			t.Error(err)
		}
		nothingLeft(t, m, d)
		return put(root, "late", "")
	})
	if err != nil {
		t.Error(err)
	}
	run(t, need.Tool(t, "e2fsck"), "-fn", d.Path)
}
