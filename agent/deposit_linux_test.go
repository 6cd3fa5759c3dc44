// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// depositIn writes two files as a receipt into a stick that is the directory dir.
func depositIn(t *testing.T, dir string) error {
	t.Helper()
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return deposit(root, []named{{"B1.json", []byte("{}\n")}, {"B1.txt", []byte("text\n")}})
}

func TestDeposit(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second replaces the first
		if err := depositIn(t, dir); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"B1.json": "{}\n", "B1.txt": "text\n"} {
			path := filepath.Join(dir, ReportDir, name)
			if text, err := os.ReadFile(path); err != nil || string(text) != want {
				t.Errorf("%s: %q, %v", name, text, err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
		if list, _ := os.ReadDir(filepath.Join(dir, ReportDir)); len(list) != 2 {
			t.Errorf("in the directory: %v", list)
		}
	}
}

// TestDepositAmongTraps plants things where the receipt has to go. Whatever
// comes of it, nothing outside of the stick is touched and nothing blocks.
func TestDepositAmongTraps(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(report, outside string) error
		err   string // "": the receipt is written
	}{
		{"directory is a link out", func(r, o string) error { return os.Symlink(o, r) }, "a link or a file has this name"},
		{"directory is a link within", func(r, o string) error {
			return errors.Join(os.Mkdir(filepath.Join(filepath.Dir(r), "x"), 0o755), os.Symlink("x", r))
		}, "a link or a file has this name"},
		{"directory is a dangling link", func(r, o string) error { return os.Symlink(o+"/none", r) }, "a link or a file has this name"},
		{"directory is a file", func(r, o string) error { return os.WriteFile(r, nil, 0o644) }, "a link or a file has this name"},
		{"directory is a FIFO", func(r, o string) error { return unix.Mkfifo(r, 0o666) }, "a link or a file has this name"},
		{"directory is another mount", func(r, o string) error {
			return errors.Join(os.Mkdir(r, 0o755), unix.Mount(o, r, "", unix.MS_BIND, ""))
		}, "mounted over"},
		{"file is a link out", inside(func(r, o string) error { return os.Symlink(o+"/victim", r+"/B1.json") }), ""},
		{"file is a hard link", inside(func(r, o string) error {
			return errors.Join(os.WriteFile(r+"/../x", []byte("mine"), 0o644), os.Link(r+"/../x", r+"/B1.json"))
		}), ""},
		{"file is a FIFO", inside(func(r, o string) error { return unix.Mkfifo(r+"/B1.json", 0o666) }), ""},
		{"file is a directory", inside(func(r, o string) error { return os.MkdirAll(r+"/B1.json/x", 0o755) }), "B1.json: "},
		{"temporary file is a link out", inside(func(r, o string) error { return os.Symlink(o+"/victim", r+"/B1.json.new") }), ""},
		{"temporary file is a FIFO", inside(func(r, o string) error { return unix.Mkfifo(r+"/B1.txt.new", 0o666) }), ""},
		{"temporary file is a leftover", inside(func(r, o string) error { return os.WriteFile(r+"/B1.txt.new", []byte("ha"), 0o444) }), ""},
		{"temporary file is a directory", inside(func(r, o string) error { return os.Mkdir(r+"/B1.txt.new", 0o755) }), "B1.txt: "},
		{"temporary file is a link to nowhere", inside(func(r, o string) error { return os.Symlink(o+"/none", r+"/B1.txt.new") }), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			stick, outside := t.TempDir(), t.TempDir()
			if err := os.WriteFile(filepath.Join(outside, "victim"), []byte("as it was"), 0o644); err != nil {
				t.Fatal(err)
			}
			report := filepath.Join(stick, ReportDir)
			if strings.Contains(c.name, "mount") {
				need.Root(t)
			}
			if err := c.plant(report, outside); err != nil {
				t.Fatal(err)
			}
			defer unix.Unmount(report, unix.MNT_DETACH)
			err := depositIn(t, stick)
			if (c.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, want %q", err, c.err)
			}
			list, _ := os.ReadDir(outside)
			if text, err := os.ReadFile(filepath.Join(outside, "victim")); len(list) != 1 || string(text) != "as it was" {
				t.Errorf("outside: %v, %q, %v", list, text, err)
			}
			if mine, err := os.ReadFile(filepath.Join(stick, "x")); err == nil && string(mine) != "mine" {
				t.Errorf("another file of the stick was written: %q", mine)
			}
			if c.err == "" {
				info, err := os.Lstat(filepath.Join(report, "B1.json"))
				if err != nil || !info.Mode().IsRegular() || info.Size() != 3 {
					t.Errorf("%v, %v", info, err)
				}
			}
		})
	}
}

// inside plants something in a directory that is one.
func inside(plant func(report, outside string) error) func(string, string) error {
	return func(report, outside string) error {
		return errors.Join(os.Mkdir(report, 0o755), plant(report, outside))
	}
}

func TestHasReceipt(t *testing.T) {
	dir := t.TempDir()
	d, err := openDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	root := d.(handle)
	if hasReceipt(root, "B1.json") {
		t.Error("an empty stick has one")
	}
	if err := depositIn(t, dir); err != nil {
		t.Fatal(err)
	}
	os.Symlink("B1.json", filepath.Join(dir, ReportDir, "B2.json"))
	if !hasReceipt(root, "B1.json") || hasReceipt(root, "B2.json") || hasReceipt(root, "B3.json") {
		t.Error("not those that there are")
	}
}

func TestReadBoard(t *testing.T) {
	root := t.TempDir()
	put := func(path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
	put("etc/os-release", "ID=x\nPRETTY_NAME=\"An OS 12\"\n")
	b := ReadBoard(root)
	if b.Firmware != "An OS 12" || b.Serial != "" || !strings.HasPrefix(b.Machine, "machine-") || strings.Contains(b.Machine, "0123456789") {
		t.Errorf("%+v", b)
	}
	put("proc/device-tree/model", "chargebyte Tarragon Master\x00")
	put("proc/device-tree/serial-number", "CB1\x00")
	put("usr/share/secc/VERSION", "2.1.0\nmore\n")
	if b := ReadBoard(root); b != (Board{Model: "chargebyte Tarragon Master", Serial: "CB1", Firmware: "2.1.0"}) {
		t.Errorf("%+v", b)
	}
}
