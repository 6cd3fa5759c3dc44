// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"usbagent/internal/durable"
	"usbagent/test/corpus"
	"usbagent/test/need"
)

// TestHostileFiles: whatever lies in the place of a file is set aside, told,
// and the ledger works.
func TestHostileFiles(t *testing.T) {
	text := func(s string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(s), 0o600) }
	}
	tests := map[string]func(path string) error{
		"empty":        text(""),
		"zeros":        text(strings.Repeat("\x00", 4096)),
		"half":         text(`{"version":1,"entries":[{"device":"sda"`),
		"no list":      text(`{"version":1,"entries":{"device":"sda"}}`),
		"null":         text(`null`),
		"wrong type":   text(`{"version":1,"entries":[{"diskseq":"x"}]}`),
		"bad time":     text(`{"version":1,"entries":[{"started":"yesterday"}]}`),
		"later format": text(`{"version":2,"entries":[]}`),
		"deep":         text(`{"version":1,"entries":` + strings.Repeat("[", 100000)),
		"too large":    func(path string) error { return errors.Join(text("{")(path), os.Truncate(path, MaxFileSize+1)) },
		"4 GiB":        func(path string) error { return errors.Join(text("{")(path), os.Truncate(path, 4<<30)) },
		"large entry":  text(`{"version":1,"entries":[{"label":"` + strings.Repeat("x", maxEntry) + `"}]}`),
		"link":         func(path string) error { return os.Symlink("/etc/passwd", path) },
		"link to fifo": func(path string) error {
			return errors.Join(syscall.Mkfifo(path+".f", 0o600), os.Symlink(path+".f", path))
		},
		"fifo":           func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"directory":      func(path string) error { return os.MkdirAll(filepath.Join(path, "full"), 0o700) },
		"character node": func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o600, 1<<8|5) },
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			if name == "character node" {
				need.Root(t)
			}
			dir := t.TempDir()
			// what an earlier time set aside is no obstacle
			os.MkdirAll(filepath.Join(dir, "sticks.json.damaged", "full"), 0o700)
			if err := make(filepath.Join(dir, "sticks.json")); err != nil {
				t.Fatal(err)
			}
			l := open(t, dir, "b")
			if damaged := l.Damaged(); len(damaged) != 1 || !strings.Contains(damaged[0], "sticks.json cannot be used") {
				t.Errorf("Damaged() = %q", damaged)
			}
			if _, err := os.Lstat(filepath.Join(dir, "sticks.json.damaged")); err != nil {
				t.Error(err)
			}
			if err := l.PutStick(Stick{DiskSeq: 1, Finished: noon}); err != nil {
				t.Fatal(err)
			}
			l = open(t, dir, "b")
			if _, ok := l.Handled(1, ""); !ok || len(l.Damaged()) != 0 {
				t.Errorf("afterwards: %v, %v", l.Sticks(), l.Damaged())
			}
		})
	}
}

// TestReplacedWhileOpen: a file that goes bad under an open ledger costs nothing.
func TestReplacedWhileOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sticks.json")
	l := open(t, dir, "b")
	l.PutStick(Stick{DiskSeq: 1, Finished: noon})
	for i, make := range []func(){
		func() { os.Remove(path) },
		func() { os.WriteFile(path, []byte("{"), 0o600) },
		func() { os.Remove(path); syscall.Mkfifo(path, 0o600) },
		func() { os.Remove(path); os.Symlink("/etc/passwd", path) },
		func() { os.Remove(path); os.MkdirAll(path+"/full", 0o700) },
	} {
		make()
		if _, ok := l.Handled(1, ""); !ok {
			t.Errorf("case %d: forgotten", i)
		}
		if err := l.PutStick(Stick{DiskSeq: uint64(i) + 2, Finished: noon}); err != nil {
			t.Errorf("case %d: %v", i, err)
		}
	}
	if got := len(open(t, dir, "b").Sticks()); got != 6 {
		t.Errorf("%d sticks", got)
	}
}

// TestTinyEntriesDoNotFillTheMemory: a file of empty objects would be a hundred
// times its size in entries.
func TestTinyEntriesDoNotFillTheMemory(t *testing.T) {
	dir := t.TempDir()
	text := `{"version":1,"entries":[{}` + strings.Repeat(",{}", 1<<20/3) + "]}"
	os.WriteFile(filepath.Join(dir, "sticks.json"), []byte(text), 0o600)
	l := open(t, dir, "b")
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if got := len(l.Sticks()); got != MaxSticks || m.HeapAlloc > 32<<20 {
		t.Errorf("%d sticks, %d MiB (%v)", got, m.HeapAlloc>>20, l.Damaged())
	}
}

// TestDirectoryThatCannotBeWritten: the ledger remembers in memory, and
// catches up when the directory is back.
func TestDirectoryThatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	os.WriteFile(dir, nil, 0o600) // no directory
	l, err := Open(dir, "b")
	if err == nil {
		t.Fatal("Open of a file succeeded")
	}
	if err := l.PutStick(Stick{DiskSeq: 1, Finished: noon}); err == nil {
		t.Error("PutStick tells nothing")
	}
	if _, ok := l.Handled(1, ""); !ok {
		t.Error("forgotten")
	}
	os.Remove(dir)
	os.Mkdir(dir, 0o700)
	if err := l.PutStick(Stick{DiskSeq: 2, Finished: noon}); err != nil {
		t.Error(err)
	}
	if got := len(open(t, dir, "b").Sticks()); got != 2 {
		t.Errorf("%d sticks", got)
	}
}

func TestDirectoryOfSomebodyElse(t *testing.T) {
	need.Root(t)
	base := t.TempDir()
	foreign, open, loose := filepath.Join(base, "foreign"), filepath.Join(base, "open"), filepath.Join(base, "loose")
	for _, dir := range []string{foreign, open, loose} {
		os.Mkdir(dir, 0o755)
	}
	os.Chown(foreign, 65534, 65534)
	os.Chmod(open, 0o777)
	os.Chmod(loose, 0o777)
	for _, dir := range []string{foreign, filepath.Join(open, "state")} {
		if _, err := Open(dir, "b"); !errors.Is(err, durable.ErrExposed) {
			t.Errorf("Open(%s) = %v, want ErrExposed", dir, err)
		}
	}
	if _, err := Open(loose, "b"); err != nil {
		t.Error(err)
	}
	if info, _ := os.Stat(loose); info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
}

// FuzzLedger: no content of a file is fatal or leaves the bounds.
func FuzzLedger(f *testing.F) {
	for _, data := range corpus.Files(f, "testdata/seeds/*.json", 3) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sticks, err := decode(data, MaxSticks, (*Stick).bound)
		if err != nil {
			return
		}
		if len(sticks) > MaxSticks {
			t.Errorf("%d sticks", len(sticks))
		}
		again, err := marshal(sticks)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(again, MaxSticks, (*Stick).bound); err != nil {
			t.Errorf("written again it cannot be read: %v", err)
		}
		decode(data, MaxKeyrings, (*Keyring).bound)
		decode(data, MaxScripts, (*Script).bound)
		decode(data, MaxImages, (*Image).bound)
	})
}
