// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package durable

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

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

// TestCheckDirAndLinks: a link of somebody else's on the way is a door, even
// when it leads to a safe place today; root's links are not.
func TestCheckDirAndLinks(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	safe, open := filepath.Join(dir, "safe"), filepath.Join(dir, "open")
	for _, d := range []string{safe, open, filepath.Join(safe, "below")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(open, 0o777|os.ModeSticky)
	link := func(target, name string, uid int) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Symlink(target, path), os.Lchown(path, uid, uid)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		path string
		want error
	}{
		{link("safe", "root", 0), nil},
		{link("../"+filepath.Base(dir)+"/safe/../safe", "winding", 0) + "/below", nil},
		{link(safe, "absolute", 0) + "/below", nil},
		{link("safe", "foreign", 65534), ErrExposed},
		{link("foreign", "root-to-foreign", 0) + "/below", ErrExposed},
		{link(safe, "open/planted", 65534) + "/below", ErrExposed},
		{link(safe, "open/root", 0) + "/below", nil},
		{link("loop", "loop", 0), syscall.ELOOP},
		{filepath.Join(dir, "none"), os.ErrNotExist},
		{link("none", "dangling", 0), os.ErrNotExist},
	}
	for _, tt := range tests {
		if err := CheckDir(tt.path); !errors.Is(err, tt.want) {
			t.Errorf("CheckDir(%s) = %v, want %v", tt.path, err, tt.want)
		}
	}
	os.Chmod(open, 0o777)
	if err := CheckDir(filepath.Join(open, "root", "below")); !errors.Is(err, ErrExposed) {
		t.Errorf("through a link in an open directory: %v", err)
	}
}

func TestPrivateDir(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	made, loose, foreign := filepath.Join(dir, "a", "made"), filepath.Join(dir, "loose"), filepath.Join(dir, "foreign")
	os.Mkdir(loose, 0o755)
	os.Chmod(loose, 0o777)
	os.Mkdir(foreign, 0o755)
	os.Chown(foreign, 65534, 65534)
	for _, d := range []string{made, loose} {
		err := PrivateDir(d)
		if info, _ := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("PrivateDir(%s) = %v, %v", d, err, info)
		}
	}
	if err := PrivateDir(foreign); !errors.Is(err, ErrExposed) {
		t.Errorf("somebody else's directory: %v", err)
	}
}

func TestReadFileTakesRegularFilesOnly(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	os.WriteFile(path("file"), []byte("12345"), 0o600)
	os.Symlink("file", path("link"))
	syscall.Mkfifo(path("fifo"), 0o600)
	syscall.Mknod(path("zero"), syscall.S_IFCHR|0o600, 1<<8|5)
	l, err := net.Listen("unix", path("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, name := range []string{"link", "fifo", "zero", "socket", "."} {
		if _, err := ReadFile(path(name), 10); !errors.Is(err, ErrIrregular) {
			t.Errorf("%s: %v, want ErrIrregular", name, err)
		}
	}
	if _, err := ReadFile(path("file"), 4); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte too large: %v", err)
	}
	if got, err := ReadFile(path("file"), 5); err != nil || string(got) != "12345" {
		t.Errorf("as large as may be: %q, %v", got, err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path, 30*time.Millisecond); err == nil {
		t.Error("two hold the lock")
	}
	unlock()
	unlock, err = Lock(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestRemoveStale(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keyring.pem")
	for _, name := range []string{TemporaryPrefix + "keyring.pem.123", TemporaryPrefix + "keyring.pem.previous.1", TemporaryPrefix + "other.pem.1", "keyring.pem"} {
		os.WriteFile(filepath.Join(dir, name), nil, 0o600)
	}
	RemoveStale(path)
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".usb*"))
	if len(left) != 2 || len(hidden) != 1 {
		t.Errorf("left: %v, %v", left, hidden)
	}
}
