// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

func ext4Stick(t testing.TB, label string, more ...string) string {
	t.Helper()
	return mkfs(t, 8<<20, append([]string{"mkfs.ext4", "-q", "-L", label}, more...)...)
}

func TestMountExt(t *testing.T) {
	for _, fstype := range []string{"ext2", "ext3", "ext4"} {
		t.Run(fstype, func(t *testing.T) {
			d := loop(t, mkfs(t, 8<<20, "mkfs."+fstype, "-q", "-L", "STICK"), false)
			m := mounter(t)
			x := mounted(t, m, d)
			if x.Type != fstype || x.Label != "STICK" || x.FoldCase || x.Target != filepath.Join(m.o.Root, "STICK") {
				t.Errorf("mounted as %+v", x)
			}
			if err := os.WriteFile(filepath.Join(x.Target, "file"), nil, 0o644); !errors.Is(err, unix.EROFS) {
				t.Errorf("writing to it: %v", err)
			}
			var st unix.Stat_t
			if err := unix.Fstatat(int(x.Root().Fd()), "lost+found", &st, 0); err != nil {
				t.Errorf("through the handle: %v", err)
			}
			detached(t, m, x)
		})
	}
}

// detached detaches x and looks for what may be left of it.
func detached(t testing.TB, m *Mounter, x *Mount) {
	t.Helper()
	for range 2 { // the second time it does nothing
		if err := x.Detach(); err != nil {
			t.Fatal(err)
		}
	}
	nothingLeft(t, m, x.Device)
}

// nothingLeft: no mount, no directory, no record.
func nothingLeft(t testing.TB, m *Mounter, d Device) {
	t.Helper()
	if at, err := mountedAt(d); err != nil || at != "" {
		t.Errorf("still mounted at %q, %v", at, err)
	}
	if entries, _ := os.ReadDir(m.o.Root); len(entries) > 0 {
		t.Errorf("still there: %v", entries)
	}
	if records, err := m.load(); err != nil || len(records) > 0 || len(m.records) > 0 || len(m.reserved) > 0 {
		t.Errorf("still recorded: %v %v %v, %v", records, m.records, m.reserved, err)
	}
}

// superOptions are the options of the superblock mounted at target.
func superOptions(t *testing.T, target string) []string {
	t.Helper()
	infos, err := mountsAt(target)
	if err != nil || len(infos) != 1 {
		t.Fatalf("%v %v", infos, err)
	}
	return strings.Split(infos[0].VFSOptions, ",")
}

// A superblock that asks for a panic does not get it.
func TestMountErrorsPanic(t *testing.T) {
	d := loop(t, ext4Stick(t, "PANIC", "-e", "panic"), false)
	x := mounted(t, mounter(t), d)
	options := superOptions(t, x.Target)
	if !slices.Contains(options, "errors=continue") || slices.Contains(options, "errors=panic") {
		t.Errorf("options %q", options)
	}
}

func TestMountRefused(t *testing.T) {
	change := func(image, tool string, args ...string) string {
		run(t, need.Tool(t, tool), append(args, image)...)
		return image
	}
	gpt := mkfs(t, 8<<20, "true")
	write(t, gpt, append(make([]byte, 512), append([]byte("EFI PART"), make([]byte, 1<<20)...)...))
	for _, c := range []struct {
		name, image string
		want        error
		words       string
	}{
		{"stored options", change(ext4Stick(t, "X"), "tune2fs", "-E", "mount_opts=debug"), &ProbeError{}, `mount options of its own ("debug")`},
		{"external journal", change(ext4Stick(t, "X"), "debugfs", "-w", "-R", "ssv journal_dev 0x801"), &ProbeError{}, "journal lies on another device"},
		{"a journal without a file system", mkfs(t, 8<<20, "mke2fs", "-q", "-O", "journal_dev"), &ProbeError{}, "no file system"},
		{"nothing", mkfs(t, 8<<20, "true"), ErrNone, ""},
		{"GPT", gpt, ErrPartitionTable, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mounter(t)
			d := loop(t, c.image, false)
			x, err := m.Mount(t.Context(), d)
			var pe *ProbeError
			if errors.As(c.want, &pe) != errors.As(err, &pe) || pe == nil && !errors.Is(err, c.want) {
				t.Fatalf("%+v, %v", x, err)
			}
			if !strings.HasPrefix(err.Error(), "mount "+d.Path+": ") || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v", err)
			}
			nothingLeft(t, m, d)
		})
	}
}

// A journal to be replayed: replayed, or passed over where the device cannot
// be written.
func TestMountDirty(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		image := ext4Stick(t, "DIRTY")
		run(t, need.Tool(t, "debugfs"), "-w", "-R", "feature needs_recovery", image)
		d := loop(t, image, readOnly)
		if s, err := Probe(open(t, image), 8<<20); err != nil || !s.NeedsRecovery {
			t.Fatalf("%+v %v", s, err)
		}
		x := mounted(t, mounter(t), d)
		if noload := slices.Contains(superOptions(t, x.Target), "norecovery"); noload != readOnly || x.Device.ReadOnly != readOnly {
			t.Errorf("read-only %v: options %q", readOnly, superOptions(t, x.Target))
		}
	}
}

func open(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestMountMounted(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	mounted(t, mounter(t), d)
	m := mounter(t)
	if x, err := m.Mount(t.Context(), d); !errors.Is(err, ErrMounted) {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestMountReplaced(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	for name, change := range map[string]func(*Device){
		"another medium": func(d *Device) { d.DiskSeq++ },
		"another device": func(d *Device) { d.Minor++ },
		"no device":      func(d *Device) { d.Path = "/dev/null" },
		"a file":         func(d *Device) { d.Path = "/proc/self/exe" },
	} {
		other := d
		change(&other)
		x, err := m.Mount(t.Context(), other)
		if !errors.Is(err, ErrReplaced) && !errors.Is(err, unix.ELOOP) {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
	nothingLeft(t, m, d)
}

func TestMountNotAllowed(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t, func(o *Options) { o.Filesystems = []string{"vfat"} })
	if x, err := m.Mount(t.Context(), d); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("%+v, %v", x, err)
	}
}

// impatient is a context that is done when it is asked for the n-th time.
type impatient struct {
	context.Context
	mu sync.Mutex
	n  int
}

func (c *impatient) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n <= 0 {
		return context.Canceled
	}
	return nil
}

// TestMountAbandoned: a mount that nobody waits for any more is undone,
// wherever it had got to.
func TestMountAbandoned(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	for n := 1; ; n++ {
		x, err := m.Mount(&impatient{Context: t.Context(), n: n}, d)
		if err == nil {
			if n < 3 {
				t.Errorf("asked %d times only", n-1)
			}
			detached(t, m, x)
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		nothingLeft(t, m, d)
	}
}

// TestRounds: descriptors and directories after many rounds are what they
// were after the first.
func TestRounds(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	round := func() int {
		x, err := m.Mount(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		detached(t, m, x)
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	first := round()
	for range 50 {
		if now := round(); now > first+1 {
			t.Fatalf("%d descriptors, %d after the first round", now, first)
		}
	}
}

// The file systems that this kernel may lack: a clear error, or mounted.
func TestMountFAT(t *testing.T) {
	for _, c := range []struct{ fstype, version string }{{"vfat", "12"}, {"vfat", "16"}, {"vfat", "32"}, {"exfat", ""}} {
		t.Run(c.fstype+c.version, func(t *testing.T) {
			args := []string{"mkfs." + c.fstype, "-n", "STICK"}
			if c.version != "" {
				args = append(args, "-F", c.version)
			}
			d := loop(t, mkfs(t, map[string]int64{"12": 4 << 20}[c.version]+40<<20*b2i(c.version != "12"), args...), false)
			m := mounter(t, func(o *Options) { o.Fmask, o.Dmask = 0o137, 0o027 })
			x, err := m.Mount(t.Context(), d)
			if errors.Is(err, ErrNoDriver) {
				nothingLeft(t, m, d)
				need.OnBoard(t, "a kernel with "+c.fstype, "TestBoardFileSystems")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer detached(t, m, x)
			var st unix.Stat_t
			if err := unix.Fstat(int(x.Root().Fd()), &st); err != nil || st.Mode&0o777 != 0o750 || st.Uid != 0 || st.Gid != 0 {
				t.Errorf("%+v, %v", st, err)
			}
			if !x.FoldCase || x.Type != c.fstype || filepath.Base(x.Target) != "STICK" {
				t.Errorf("%+v", x)
			}
		})
	}
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
