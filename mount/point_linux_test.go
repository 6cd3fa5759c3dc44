// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPoint: what may be there already, and what becomes of it.
func TestPoint(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	for _, c := range []struct {
		name  string
		there func(path string) error
		want  string // the mount point's name
		stays bool   // what was there is there afterwards
	}{
		{"nothing", func(string) error { return nil }, "STICK", false},
		{"an empty directory", func(p string) error { return os.Mkdir(p, 0o755) }, "STICK", true},
		{"an empty directory left by a power cut", func(p string) error { os.Mkdir(p, 0o755); return os.Chmod(p, 0o755|os.ModeSticky) }, "STICK", false},
		{"a directory with a file", func(p string) error { return os.MkdirAll(p+"/x", 0o755) }, "STICK-2", true},
		{"a file", func(p string) error { return os.WriteFile(p, nil, 0o644) }, "STICK-2", true},
		{"a link to a directory", func(p string) error { return os.Symlink("/etc", p) }, "STICK-2", true},
		{"a link to nowhere", func(p string) error { return os.Symlink("/nowhere", p) }, "STICK-2", true},
		{"a FIFO", func(p string) error { return unix.Mkfifo(p, 0o644) }, "STICK-2", true},
		{"somebody's directory", func(p string) error { os.Mkdir(p, 0o755); return os.Chown(p, 65534, 65534) }, "STICK-2", true},
		{"everybody's directory", func(p string) error { os.Mkdir(p, 0o755); return os.Chmod(p, 0o777) }, "STICK-2", true},
		{"a mount point", func(p string) error { os.Mkdir(p, 0o755); return unix.Mount("tmpfs", p, "tmpfs", 0, "") }, "STICK-2", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mounter(t)
			path := filepath.Join(m.o.Root, "STICK")
			if err := os.MkdirAll(m.o.Root, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := c.there(path); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) })
			x := mounted(t, m, d)
			if filepath.Base(x.Target) != c.want {
				t.Errorf("mounted on %s", x.Target)
			}
			if err := x.Detach(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(path); (err == nil) != c.stays {
				t.Errorf("afterwards: %v", err)
			}
			if _, err := os.Lstat(path + "-2"); err == nil {
				t.Error("its directory is still there")
			}
		})
	}
}

// TestPointHostileLabel: labels that lead elsewhere in the shell way.
func TestPointHostileLabel(t *testing.T) {
	for label, want := range map[string]string{
		"../etc/rauc": "_._etc_rauc", "$(reboot)": "_(reboot)", ";reboot;": "_reboot_", "it's": "it_s", "..": "", "a\nb": "a_b",
	} {
		image := ext4Stick(t, "X")
		run(t, "debugfs", "-w", "-R", fmt.Sprintf("ssv volume_name \"%s\"", strings.ReplaceAll(label, "\n", " ")), image)
		if strings.ContainsAny(label, "\n") { // debugfs takes no such thing
			f, err := os.OpenFile(image, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, extSize)
			f.ReadAt(b, extOffset)
			copy(b[0x78:0x88], label+"\x00")
			sum := extChecksum(b)
			b[1020], b[1021], b[1022], b[1023] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
			f.WriteAt(b, extOffset)
			f.Close()
		}
		d := loop(t, image, false)
		m := mounter(t)
		x := mounted(t, m, d)
		if want == "" {
			want = d.Name
		}
		if x.Label != label || x.Target != filepath.Join(m.o.Root, want) {
			t.Errorf("label %q (want %q) on %q", x.Label, label, x.Target)
		}
	}
}

// TestPointUnique: many sticks of one name at once.
func TestPointUnique(t *testing.T) {
	m := mounter(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	targets := make(map[string]bool)
	for range 4 {
		d := loop(t, ext4Stick(t, "STICK"), false)
		wg.Go(func() {
			x, err := m.Mount(t.Context(), d)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { x.Detach() })
			mu.Lock()
			defer mu.Unlock()
			targets[filepath.Base(x.Target)] = true
		})
	}
	wg.Wait()
	if len(targets) != 4 || !targets["STICK"] || !targets["STICK-2"] || !targets["STICK-4"] {
		t.Errorf("%v", targets)
	}
}

// TestMaxNumber: where all names are taken, that is an error.
func TestMaxNumber(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	for n := 1; n <= MaxNumber; n++ {
		if err := os.MkdirAll(filepath.Join(m.o.Root, numbered("STICK", n), "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if x, err := m.Mount(t.Context(), d); err == nil || !strings.Contains(err.Error(), "are taken") {
		t.Errorf("%+v, %v", x, err)
	}
	if err := os.RemoveAll(filepath.Join(m.o.Root, numbered("STICK", MaxNumber))); err != nil {
		t.Fatal(err)
	}
	if x := mounted(t, m, d); filepath.Base(x.Target) != numbered("STICK", MaxNumber) {
		t.Errorf("mounted on %s", x.Target)
	}
}

func TestRoot(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	for _, c := range []struct {
		name  string
		there func(root string) error
		words string
	}{
		{"missing", func(string) error { return nil }, ""},
		{"sticky", func(r string) error { os.Mkdir(r, 0o777); return os.Chmod(r, 0o777|os.ModeSticky) }, ""},
		{"root's own link", func(r string) error { os.Mkdir(r+"2", 0o755); return os.Symlink(r+"2", r) }, ""},
		{"everybody's", func(r string) error { os.Mkdir(r, 0o755); return os.Chmod(r, 0o777) }, "others"},
		{"somebody's", func(r string) error { os.Mkdir(r, 0o755); return os.Chown(r, 65534, 65534) }, "others"},
		{"a file", func(r string) error { return os.WriteFile(r, nil, 0o644) }, "mount root"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mounter(t)
			if err := c.there(m.o.Root); err != nil {
				t.Fatal(err)
			}
			x, err := m.Mount(t.Context(), d)
			if err == nil {
				defer x.Detach()
			}
			if (err == nil) != (c.words == "") || err != nil && !strings.Contains(err.Error(), c.words) {
				t.Errorf("%+v, %v", x, err)
			}
		})
	}
}

func TestNew(t *testing.T) {
	for _, o := range []Options{{}, {Root: "media"}, {Root: "/"}, {Root: "/media/.."}, {Root: "/media", Fmask: 0o1000}, {Root: "/media", Dmask: 0o7777}, {Root: "/media", Filesystems: []string{"btrfs"}}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}
