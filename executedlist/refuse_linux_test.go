// SPDX-License-Identifier: GPL-3.0-or-later

package executedlist

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"usbagent/internal/durable"
	"usbagent/test/disk"
	"usbagent/test/need"
)

func TestVolatileIsRefused(t *testing.T) {
	path := filepath.Join(disk.Tmpfs(t, "1m"), "usb-autorun", "executed.list")
	if err := Open(path, false).Append(a); !errors.Is(err, ErrVolatile) {
		t.Errorf("list on tmpfs: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the list was made")
	}
	if err := Open(path, true).Append(a); err != nil {
		t.Errorf("allowed: %v", err)
	}
	if err := Open(filepath.Join(disk.Ext4(t, 2<<20), "executed.list"), false).Append(a); err != nil {
		t.Errorf("list on ext4: %v", err)
	}
}

// TestPlaceIsRefused: what a local user could have made or could change.
func TestPlaceIsRefused(t *testing.T) {
	need.Root(t)
	const nobody = 65534
	file := func(mode os.FileMode, uid, gid int) func(string) {
		return func(path string) {
			os.WriteFile(path, []byte(hexA+"\n"), 0o644)
			os.Chown(path, uid, gid)
			os.Chmod(path, mode)
		}
	}
	tests := map[string]struct {
		make func(path string)
		want error // nil: accepted
	}{
		"root's":              {file(0o644, 0, 0), nil},
		"private":             {file(0o600, 0, 0), nil},
		"group root writes":   {file(0o664, 0, 0), nil},
		"others write":        {file(0o666, 0, 0), durable.ErrExposed},
		"a group writes":      {file(0o664, 0, nobody), durable.ErrExposed},
		"somebody else's":     {file(0o644, nobody, 0), durable.ErrExposed},
		"link":                {func(p string) { file(0o644, 0, 0)(p + ".x"); os.Symlink(p+".x", p) }, durable.ErrIrregular},
		"dangling link":       {func(p string) { os.Symlink(p+".x", p) }, durable.ErrIrregular},
		"FIFO":                {func(p string) { syscall.Mkfifo(p, 0o644) }, durable.ErrIrregular},
		"socket":              {func(p string) { l, _ := net.Listen("unix", p); t.Cleanup(func() { l.Close() }) }, durable.ErrIrregular},
		"device":              {func(p string) { syscall.Mknod(p, syscall.S_IFCHR|0o644, 1<<8|5) }, durable.ErrIrregular},
		"directory":           {func(p string) { os.Mkdir(p, 0o755) }, durable.ErrIrregular},
		"open directory":      {func(p string) { os.Chmod(filepath.Dir(p), 0o777) }, durable.ErrExposed},
		"sticky directory":    {func(p string) { os.Chmod(filepath.Dir(p), 0o777|os.ModeSticky) }, durable.ErrExposed},
		"foreign directory":   {func(p string) { os.Chown(filepath.Dir(p), nobody, nobody) }, durable.ErrExposed},
		"open parent":         {func(p string) { os.Chmod(filepath.Dir(filepath.Dir(p)), 0o777) }, durable.ErrExposed},
		"directory is a file": {func(p string) { os.Remove(filepath.Dir(p)); os.WriteFile(filepath.Dir(p), nil, 0o644) }, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l, path := newList(t)
			os.Mkdir(filepath.Dir(path), 0o755)
			tt.make(path)
			err := l.Append(b)
			switch {
			case name == "directory is a file":
				if err == nil || !strings.Contains(err.Error(), "no directory") {
					t.Errorf("Append: %v", err)
				}
			case !errors.Is(err, tt.want):
				t.Errorf("Append: %v, want %v", err, tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("the error does not name the list: %v", err)
			}
			if _, err := os.Lstat(path + ".x"); name == "dangling link" && err == nil {
				t.Error("the link was followed")
			}
		})
	}
}

// TestContainsRefusesToo: a list that cannot be relied on is not "not executed yet".
func TestContainsRefusesToo(t *testing.T) {
	need.Root(t)
	l, path := newList(t)
	l.Append(a)
	os.Chmod(path, 0o666)
	if _, err := l.Contains(a); !errors.Is(err, durable.ErrExposed) {
		t.Errorf("others write: %v", err)
	}
	os.Remove(path)
	syscall.Mkfifo(path, 0o644)
	if _, err := l.Contains(a); !errors.Is(err, durable.ErrIrregular) {
		t.Errorf("FIFO: %v", err)
	}
}

func TestReadOnlyFileSystem(t *testing.T) {
	dir := disk.Ext4(t, 2<<20)
	l := Open(filepath.Join(dir, "executed.list"), false)
	if err := l.Append(a); err != nil {
		t.Fatal(err)
	}
	disk.ReadOnly(t, dir)
	if err := l.Append(b); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Append: %v", err)
	}
	if !contains(t, l, a) || contains(t, l, b) {
		t.Error("wrong answer")
	}
}

func TestImmutable(t *testing.T) {
	dir := disk.Ext4(t, 2<<20)
	path := filepath.Join(dir, "executed.list")
	l := Open(path, false)
	l.Append(a)
	disk.Immutable(t, path)
	if err := l.Append(b); !errors.Is(err, syscall.EPERM) {
		t.Errorf("Append: %v", err)
	}
}

// TestDiskFull: a failed append leaves no line, and works when there is room.
func TestDiskFull(t *testing.T) {
	dir := disk.Ext4(t, 2<<20)
	path := filepath.Join(dir, "usb-autorun", "executed.list")
	l := Open(path, false)
	free := disk.Fill(t, dir)
	if err := l.Append(a); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Append: %v", err)
	}
	if contains(t, l, a) {
		t.Error("the script counts as executed")
	}
	free()
	if err := l.Append(a); err != nil {
		t.Error(err)
	}
	// the list fills its block exactly in the middle of the next line
	text := strings.Repeat(hexA+"\n", 31)
	os.WriteFile(path, []byte(text), 0o644)
	free = disk.Fill(t, dir)
	if err := l.Append(b); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Append over the end of a block: %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != text {
		t.Errorf("left behind: %q", got[len(text)-33:])
	}
	free()
	if err := l.Append(b); err != nil || !contains(t, l, b) {
		t.Error(err)
	}
}

// TestLockHeldByLocalUser: whoever can read the list can lock it; nothing waits.
func TestLockHeldByLocalUser(t *testing.T) {
	need.Root(t)
	flock := need.Tool(t, "flock")
	base, err := os.MkdirTemp("", "list") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	os.Chmod(base, 0o755)
	path := filepath.Join(base, "executed.list")
	l := Open(path, true)
	l.Append(a)
	cmd := exec.Command(flock, "-x", path, "sh", "-c", "echo locked; exec sleep 60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Append(b) }()
	select {
	case err := <-done:
		if err != nil || !contains(t, l, b) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Append waits for a lock that a local user holds")
	}
}
