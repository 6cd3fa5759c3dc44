// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/config"
	"usbagent/test/need"
)

// open makes a volume of a directory.
func open(t *testing.T, dir string, fold bool) *volume {
	t.Helper()
	d, err := openDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return &volume{directory: d, device: "test", target: dir, fold: fold}
}

func TestOnlyRegularFilesAreRead(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	outside := filepath.Join(t.TempDir(), "secret")
	os.WriteFile(outside, []byte("secret"), 0o600)
	listener, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for what, err := range map[string]error{
		"relative link": os.Symlink("../"+filepath.Base(filepath.Dir(outside))+"/secret", at("relative")),
		"absolute link": os.Symlink(outside, at("absolute")),
		"loop":          os.Symlink("loop", at("loop")),
		"device link":   os.Symlink("/dev/null", at("devlink")),
		"FIFO":          unix.Mkfifo(at("fifo"), 0o600),
		"block":         unix.Mknod(at("block"), unix.S_IFBLK|0o600, int(unix.Mkdev(7, 0))),
		"character":     unix.Mknod(at("character"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))),
		"directory":     os.Mkdir(at("directory"), 0o755),
		"locked":        os.WriteFile(at("locked"), []byte("mode 000"), 0),
	} {
		if err != nil {
			t.Fatal(what, err)
		}
	}
	os.Chmod(at("locked"), 0)
	v := open(t, dir, false)
	for name, want := range map[string]string{
		"relative": "symbolic link", "absolute": "symbolic link", "loop": "symbolic link", "devlink": "symbolic link",
		"fifo": "a FIFO", "socket": "a socket", "block": "a block device", "character": "a character device",
		"directory": "a directory", "absent": "no such file", "../x": "",
	} {
		data, _, err := v.read(t.Context(), name, 1<<20, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("read %s = %q, %v; want an error that says %q", name, data, err, want)
		}
	}
	if data, _, err := v.read(t.Context(), "locked", 1<<20, nil); err != nil || string(data) != "mode 000" {
		t.Errorf("read of a file of mode 000 by root: %q, %v", data, err)
	}
}

// TestFallbackOfOpenat2 checks that kernels before 5.6 refuse the same.
func TestFallbackOfOpenat2(t *testing.T) {
	dir := t.TempDir()
	os.Symlink("/etc/passwd", filepath.Join(dir, "link"))
	os.WriteFile(filepath.Join(dir, "file"), nil, 0o644)
	d, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := openatSameDevice(int(d.Fd()), "link", &unix.OpenHow{Flags: unix.O_PATH}); !errors.Is(err, unix.ELOOP) {
		t.Errorf("link: %v, want ELOOP", err)
	}
	fd, err := openatSameDevice(int(d.Fd()), "file", &unix.OpenHow{Flags: unix.O_RDONLY})
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	proc, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Close()
	if _, err := openatSameDevice(int(proc.Fd()), "proc", &unix.OpenHow{Flags: unix.O_RDONLY}); !errors.Is(err, unix.EXDEV) {
		t.Errorf("another mount: %v, want EXDEV", err)
	}
}

func TestLimitsOfReading(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	os.WriteFile(big, nil, 0o644)
	os.Truncate(big, 4<<30) // sparse
	os.WriteFile(filepath.Join(dir, "exact"), make([]byte, 100), 0o644)
	v := open(t, dir, false)
	if _, _, err := v.read(t.Context(), "big", 64<<20, nil); err == nil || err.Error() != "it has 4 GiB, the limit is 64 MiB" {
		t.Errorf("sparse 4 GiB: %v", err)
	}
	if data, _, err := v.read(t.Context(), "exact", 100, nil); err != nil || len(data) != 100 {
		t.Errorf("exactly the limit: %d bytes, %v", len(data), err)
	}
	if _, _, err := v.read(t.Context(), "exact", 99, nil); err == nil {
		t.Error("one byte over the limit was read")
	}
	f, _ := os.Open(filepath.Join(dir, "exact"))
	defer f.Close()
	if _, err := readAll(f, 99, func() {}); err == nil || !strings.Contains(err.Error(), "grew") {
		t.Errorf("a file that grew: %v", err)
	}
}

func TestSearch(t *testing.T) {
	names := []string{"b.image", "a.image", ".hidden.image", "._autorun.sh", "AUTORUN.SH", "autorun.sh.P7S",
		"fwupdate-keyring.pem", "FWUPDATE-KEYRING.PEM", "x.IMAGE", ".image", "image", "autorun.sh ", "autorun.sh."}
	s, folded := search{}, search{fold: true}
	for _, n := range names {
		s.add(n)
		folded.add(n)
	}
	if s.found.script != (pair{}) || s.found.keyring.file != "fwupdate-keyring.pem" || fmt.Sprint(s.images) != "[b.image a.image]" {
		t.Errorf("exact names: %+v %v", s.found, s.images)
	}
	if folded.found.script != (pair{"AUTORUN.SH", "autorun.sh.P7S"}) || folded.found.keyring.file != "fwupdate-keyring.pem" ||
		len(folded.found.ambiguous) != 0 || len(folded.images) != 3 {
		t.Errorf("folded names: %+v %v", folded.found, folded.images)
	}
	folded.add("Autorun.sh")
	if len(folded.found.ambiguous) != 1 {
		t.Errorf("two spellings, none exact: %+v", folded.found)
	}
}

func TestTooManyNames(t *testing.T) {
	s := search{}
	for i := range MaxImages + 1 {
		s.add(fmt.Sprintf("%d.image", i))
	}
	if !s.found.tooMany || len(s.images) != MaxImages {
		t.Errorf("%d images kept, tooMany %v", len(s.images), s.found.tooMany)
	}
	for n, good := range map[int]bool{MaxEntries: true, MaxEntries + 1: false} {
		v := volume{directory: crowd{n: n}, device: "test"}
		if _, err := v.search(); (err == nil) != good {
			t.Errorf("%d names: %v", n, err)
		}
	}
	v := volume{directory: endless{}, device: "test"}
	if _, err := v.search(); err == nil || !strings.Contains(err.Error(), "more than 1000000 names") {
		t.Errorf("endless directory: %v", err)
	}
}

// crowd is a directory with that many names.
type crowd struct {
	endless
	n int
}

func (c crowd) names(add func(string) error) error {
	for range c.n {
		if err := add("x"); err != nil {
			return err
		}
	}
	return nil
}

// endless is a directory whose names never end.
type endless struct{}

func (endless) names(add func(string) error) error {
	for {
		if err := add("x"); err != nil {
			return err
		}
	}
}
func (endless) open(string) (*os.File, error) { return nil, io.EOF }
func (endless) Close() error                  { return nil }

// silent is a directory whose one file brings nothing until it is told to.
type silent struct{ pipe *os.File }

func (silent) names(func(string) error) error  { return nil }
func (s silent) open(string) (*os.File, error) { return s.pipe, nil }
func (silent) Close() error                    { return nil }

// TestReadAbandoned: a reading that comes back after it was abandoned changes
// nothing of what its caller was given; the race detector looks on.
func TestReadAbandoned(t *testing.T) {
	for range 20 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(errPulled) })
		v := &volume{directory: silent{r}}
		data, release, err := v.read(ctx, "autorun.sh", 10, nil)
		w.Close() // now it comes back
		if !errors.Is(err, errPulled) || data != nil || release != nil {
			t.Errorf("read = %q, %v", data, err)
		}
		for _, err := r.Stat(); err == nil; _, err = r.Stat() { // until the abandoned one has closed it
			time.Sleep(time.Millisecond)
		}
	}
}

func TestAbandonable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		defer close(never)
		hang := func(func()) error { <-never; return nil }
		if err := abandonable(t.Context(), ReadStall, ReadTotal, hang); !errors.Is(err, errAbandoned) {
			t.Errorf("a device that never answers: %v", err)
		}
		begun := time.Now()
		slow := func(progress func()) error {
			for range 100 {
				time.Sleep(ReadStall - time.Second)
				progress()
			}
			return nil
		}
		if err := abandonable(t.Context(), ReadStall, ReadTotal, slow); !errors.Is(err, errAbandoned) || time.Since(begun) != ReadTotal {
			t.Errorf("a device that never ends: %v after %v", err, time.Since(begun))
		}
		time.Sleep(time.Hour) // let slow end
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errPulled)
		if err := abandonable(ctx, ReadStall, ReadTotal, hang); !errors.Is(err, errPulled) {
			t.Errorf("a pulled stick: %v", err)
		}
	})
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		release, err := b.take(t.Context(), 80)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := b.take(ctx, 30); err == nil {
			t.Error("more than the budget was given")
		}
		waited := make(chan error)
		go func() { _, err := b.take(t.Context(), 30); waited <- err }()
		synctest.Wait()
		release()
		release()
		if err := <-waited; err != nil {
			t.Error(err)
		}
		if b.free != 70 {
			t.Errorf("%d bytes free, want 70", b.free)
		}
	})
}

func TestScriptBudget(t *testing.T) {
	for size, want := range map[int64]int64{1: 2 * minScriptBudget, minScriptBudget: 2 * minScriptBudget, 64 << 20: 128 << 20} {
		o := Options{Config: config.Default()}
		o.Config.Autorun.MaxSize = size
		if got := New(o).scripts.free; got != want {
			t.Errorf("autorun.max_size = %d: %d bytes for scripts that wait, want %d", size, got, want)
		}
	}
}

func TestShow(t *testing.T) {
	for in, want := range map[string]string{
		"plain name äß": "plain name äß", "a\nb": `a\nb`, "\x1b[31m": `\x1b[31m`, "a\xff": `a\xff`, `a\b`: `a\\b`,
		"\u202egpj.exe": `\u202egpj.exe`, "": "",
	} {
		if got := Show(in); got != want {
			t.Errorf("Show(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Show(strings.Repeat("ä", 1000)); len(got) > MaxShown || !strings.HasSuffix(got, "…") {
		t.Errorf("long name: %d bytes", len(got))
	}
}

func FuzzShow(f *testing.F) {
	for _, seed := range []string{"STICK", "$(reboot)", "a\nb\x1b]0;x\a", "\xff\xfe", strings.Repeat("\u0301", 300)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := Show(name)
		if len(got) > MaxShown || strings.ContainsAny(got, "\n\r\x1b\x00") {
			t.Errorf("Show(%q) = %q", name, got)
		}
	})
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 64 << 20: "64 MiB", 1536: "1.5 KiB", 5 << 40: "5 TiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

// TestClosedWhileRead: a reading that was abandoned goes on while the directory
// is closed, and never sees another one in its place.
func TestClosedWhileRead(t *testing.T) {
	for range 100 {
		d, err := openDirectory(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error)
		go func() {
			var err error
			for err == nil {
				err = d.names(func(string) error { return nil })
			}
			read <- err
		}()
		d.Close()
		if err := <-read; !errors.Is(err, os.ErrClosed) {
			t.Fatal(err)
		}
	}
}
