// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// TestDetachBelow: what others have mounted on it and below it goes too.
func TestDetachBelow(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	x := mounted(t, m, d)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	below := filepath.Join(x.Target, "lost+found")
	must(unix.Mount("tmpfs", below, "tmpfs", 0, ""))
	must(os.WriteFile(below+"/file", []byte("verified"), 0o644))
	must(unix.Mount("tmpfs", below, "tmpfs", 0, ""))
	must(unix.Mount(x.Target, x.Target, "", unix.MS_BIND, ""))
	must(unix.Mount("tmpfs", x.Target, "tmpfs", 0, ""))
	detached(t, m, x)
}

// TestDetachBusy: a mount in use goes out of sight, and ends with its last user.
func TestDetachBusy(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	x := mounted(t, m, d)
	user := open(t, filepath.Join(x.Target, "lost+found"))
	detached(t, m, x)
	if _, err := user.Readdirnames(1); err != nil && err != io.EOF {
		t.Errorf("its user: %v", err)
	}
	mounted(t, m, d) // the agent's next run, while it is still in use
}

// TestDetachUncoversNothing: who has the working directory there sees what
// lay over a file to the end. That is how autorun.sh stays the verified one.
func TestDetachUncoversNothing(t *testing.T) {
	image := ext4Stick(t, "STICK")
	file := filepath.Join(t.TempDir(), "autorun.sh")
	write(t, file, []byte("evil"))
	run(t, need.Tool(t, "debugfs"), "-w", "-R", "write "+file+" autorun.sh", image)
	d := loop(t, image, false)
	for _, there := range []bool{false, true} {
		m := mounter(t)
		if there {
			if err := os.MkdirAll(filepath.Join(m.o.Root, "STICK"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		x := mounted(t, m, d)
		write(t, file, []byte("verified"))
		if err := unix.Mount(file, filepath.Join(x.Target, "autorun.sh"), "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		script := exec.Command("sh", "-c", "read go; cat autorun.sh")
		script.Dir = x.Target
		in, err := script.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		script.Stdout = &said
		if err := script.Start(); err != nil {
			t.Fatal(err)
		}
		if err := x.Detach(); err != nil {
			t.Error(err)
		}
		in.Close()
		if err := script.Wait(); err != nil || said.String() != "verified" {
			t.Errorf("it sees %q, %v", said.String(), err)
		}
		if _, err := os.Lstat(x.Target); (err == nil) != there {
			t.Errorf("afterwards: %v", err)
		}
	}
}

// TestDetachDead: the device no longer answers any read.
func TestDetachDead(t *testing.T) {
	need.Root(t)
	for _, c := range []struct{ fstype, image string }{{"ext4", ext4Stick(t, "STICK")}, {"ntfs", ntfsStick(t, "STICK")}} {
		d := loop(t, c.image, false)
		m := mounter(t)
		x := mounted(t, m, d)
		if err := os.Truncate(c.image, 0); err != nil {
			t.Fatal(err)
		}
		os.ReadDir(x.Target)
		detached(t, m, x)
	}
}

// TestDetachForeign: what somebody else has mounted in its place is left.
func TestDetachForeign(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	x := mounted(t, m, d)
	x.root.Close()
	if err := unix.Unmount(x.Target, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", x.Target, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(x.Target, 0)
	if err := x.Detach(); err != nil {
		t.Fatal(err)
	}
	if infos, err := mountsAt(x.Target); err != nil || len(infos) != 1 {
		t.Errorf("%v %v", infos, err)
	}
}

// TestDetachGone: everything was taken away already.
func TestDetachGone(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	x := mounted(t, m, d)
	if err := errors.Join(unix.Unmount(x.Target, unix.MNT_DETACH), os.Remove(x.Target)); err != nil {
		t.Fatal(err)
	}
	detached(t, m, x)
}

// TestMaxUnmounts: an error, not an endless loop; and Detach may be tried again.
func TestMaxUnmounts(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	x := mounted(t, m, d)
	for range MaxUnmounts {
		if err := unix.Mount("tmpfs", x.Target, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Detach(); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%v", err)
	}
	detached(t, m, x)
}

// TestDetachNTFS3G: its process ends with it, also one that does not answer.
func TestDetachNTFS3G(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ntfs-3g")
	for _, c := range []struct {
		name   string
		signal unix.Signal
	}{{"as it should", 0}, {"stopped", unix.SIGSTOP}, {"dead", unix.SIGKILL}} {
		t.Run(c.name, func(t *testing.T) {
			m := mounter(t)
			x := mounted(t, m, loop(t, ntfsStick(t, "STICK"), false))
			if !x.helper.alive() {
				t.Fatal("no process")
			}
			unix.Kill(x.helper.PID, c.signal)
			start := time.Now()
			detached(t, m, x)
			if x.helper.alive() || time.Since(start) > 3*HelperGrace {
				t.Errorf("after %v: alive %v", time.Since(start), x.helper.alive())
			}
		})
	}
}

// TestMaxHelperOutput: the last words are kept, and no more.
func TestMaxHelperOutput(t *testing.T) {
	var w words
	for i := range 10000 {
		fmt.Fprintf(&w, "line %d\n", i)
	}
	if len(w.buf) != MaxHelperOutput || !strings.HasSuffix(string(w.buf), "line 9999\n") {
		t.Errorf("%d bytes: %q", len(w.buf), w.buf)
	}
}
