// SPDX-License-Identifier: GPL-3.0-or-later

package durable

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"usbagent/test/need"
)

func TestWriteFileReplacesLinkNotTarget(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "vendor.pem"), filepath.Join(dir, "keyring.pem")
	if err := os.WriteFile(target, []byte("vendor"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("vendor.pem", link); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(link, []byte("customer"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode() != 0o644 {
		t.Fatalf("link after WriteFile: %v, %v; want a regular file of mode 0644", info.Mode(), err)
	}
	if got, _ := os.ReadFile(target); string(got) != "vendor" {
		t.Errorf("target of the link became %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, TemporaryPrefix+"*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLinkKeepsSymlink(t *testing.T) {
	dir := t.TempDir()
	path, kept := filepath.Join(dir, "keyring.pem"), filepath.Join(dir, "keyring.pem.previous")
	if err := os.Symlink("vendor.pem", path); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second replaces a name of the same file
		if err := Link(path, kept); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.Readlink(kept); err != nil || got != "vendor.pem" {
		t.Errorf("kept link: %q, %v", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, TemporaryPrefix+"*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCheckDirRefusesWhatOthersCanWrite(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	open, owned, below := filepath.Join(dir, "open"), filepath.Join(dir, "owned"), filepath.Join(dir, "open", "below")
	for _, d := range []string{open, owned, below} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := CheckDir(below); err != nil {
		t.Fatalf("safe directory: %v", err)
	}
	os.Chmod(open, 0o777)
	os.Chown(owned, 65534, 65534)
	for _, d := range []string{open, owned, below} {
		if err := CheckDir(d); !errors.Is(err, ErrExposed) {
			t.Errorf("CheckDir(%s) = %v, want ErrExposed", d, err)
		}
	}
}

func TestMkdirAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 {
		if err := MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("made directory: %v, %v", info, err)
	}
	file := filepath.Join(dir, "file")
	os.WriteFile(file, nil, 0o600)
	if err := MkdirAll(file, 0o700); err == nil {
		t.Error("MkdirAll over a file succeeded")
	}
}
