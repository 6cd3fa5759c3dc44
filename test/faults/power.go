// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/test/disk"
)

// PowerCuts runs the operation on an ext4 of its own, kills it before each
// call that changes something and after the last, and each time looks at what
// the block device has at that instant: everything that was not synced is
// lost, as when the power fails. check sees that state in dir; Outcome.Killed
// is false for the cut right after the operation returned.
//
// What a disk holds back in its own cache although it was told to flush is
// not simulated.
func PowerCuts(t *testing.T, name string, setup func(dir string), check func(t *testing.T, dir string, o Outcome)) {
	t.Helper()
	p := &powered{t: t, image: filepath.Join(t.TempDir(), "image")}
	disk.MakeExt4(t, p.image, 8<<20)
	p.dir = disk.Mount(t, p.image)
	cuts := 0
	for _, c := range callsBelow(t, p.dir, name, setup) {
		if changes(c) {
			p.cut(name, c, setup, check)
			cuts++
		}
	}
	p.cut(name, Call{}, setup, check)
	t.Logf("%s: the power cut at %d instants", name, cuts+1)
}

// changes tells whether a call changes what is on the disk.
func changes(c Call) bool {
	if c.Name == "openat" {
		return strings.Contains(c.Text, "O_CREAT")
	}
	return slices.Contains(strings.Fields("write pwrite64 fchmod fchmodat fchown ftruncate fsync fdatasync rename renameat renameat2 "+
		"symlink symlinkat link linkat unlink unlinkat mkdir mkdirat"), c.Name)
}

// powered is a file system that the power can be cut from.
type powered struct {
	t          *testing.T
	image, dir string
}

// cut runs the operation up to c, or to its end where there is none, and
// checks what a restart finds.
func (p *powered) cut(name string, c Call, setup func(string), check func(*testing.T, string, Outcome)) {
	t := p.t
	t.Helper()
	dir, err := os.MkdirTemp(p.dir, "faults")
	if err != nil {
		t.Fatal(err)
	}
	setup(dir)
	flush(t, p.dir)
	o := Outcome{Fault: "power cut", Call: c, Killed: c.Name != ""}
	inject := ""
	if o.Killed {
		inject = fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", c.Name, c.nth)
	}
	trace, out, err := run(t, name, dir, inject)
	if killed := strings.Contains(trace, "+++ killed by SIGKILL +++"); killed != o.Killed || !killed && err != nil {
		t.Fatalf("%v: killed %v, %v\n%s\n%s", o, killed, err, out, trace)
	}
	// A file of its own each time: mount(8) uses a loop device again that has
	// the same file still, with what it has read of that file before.
	after := filepath.Join(filepath.Dir(p.image), filepath.Base(dir)+".after")
	defer os.Remove(after)
	copyFile(t, p.image, after)
	mounted := disk.Mount(t, after)
	check(t, filepath.Join(mounted, filepath.Base(dir)), o)
	if err := unix.Unmount(mounted, 0); err != nil {
		t.Fatalf("unmount: %v", err)
	}
	os.RemoveAll(dir)
}

func flush(t *testing.T, dir string) {
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
