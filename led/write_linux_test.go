// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What every LED has stays open, and is opened anew where the kernel refuses the
// old descriptor: it does so when the LED has gone meanwhile.
func TestAttributesStayOpen(t *testing.T) {
	_, dir := tree(t, "x", fullTree())
	a := &attributes{dir: dir}
	for _, w := range []string{"trigger=none", "brightness=255", "trigger=timer", "delay_on=250", "delay_off=250", "brightness=0"} {
		name, value, _ := strings.Cut(w, "=")
		if err := a.write(name, value); err != nil || contents(t, dir)[name] != value {
			t.Errorf("%s: %v, it holds %q", w, err, contents(t, dir)[name])
		}
	}
	if kept := slices.Sorted(maps.Keys(a.open)); !slices.Equal(kept, []string{"brightness", "trigger"}) {
		t.Errorf("open: %q", kept)
	}
	old, fd := a.open["brightness"], -1
	if err := unix.Close(old); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a.open["brightness"] = fd // what is written to it is refused
	if err := a.write("brightness", "255"); err != nil || contents(t, dir)["brightness"] != "255" {
		t.Errorf("%v, it holds %q", err, contents(t, dir)["brightness"])
	}
	fd = a.open["brightness"]
	if err := a.close(); err != nil {
		t.Error(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("still open after close: %v", err)
	}
	if err := a.write("no such", "1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
}
