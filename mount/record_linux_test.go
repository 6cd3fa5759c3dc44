// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// again is the Mounter of the next run.
func again(t *testing.T, m *Mounter) *Mounter {
	t.Helper()
	next, err := New(m.o)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func here(Device) bool { return true }

func TestRecoverReuse(t *testing.T) {
	d := loop(t, ext4Stick(t, "../STICK"), false)
	m := mounter(t)
	crash(t, m, d)
	m = again(t, m)
	reused, err := m.Recover(func(r Device) bool { return r.DiskSeq == d.DiskSeq && r.Name == d.Name })
	if err != nil || len(reused) != 1 {
		t.Fatalf("%v %v", reused, err)
	}
	x := reused[0]
	if x.Target != filepath.Join(m.o.Root, "_._STICK") || x.Type != "ext4" || x.Label != "../STICK" || !x.Reused || x.Device.Size == 0 {
		t.Errorf("%+v", x)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(x.Root().Fd()), "lost+found", &st, 0); err != nil {
		t.Error(err)
	}
	detached(t, m, x)
}

func TestRecoverPulled(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	crash(t, m, d)
	m = again(t, m)
	if reused, err := m.Recover(func(Device) bool { return false }); err != nil || len(reused) != 0 {
		t.Errorf("%v %v", reused, err)
	}
	nothingLeft(t, m, d)
	mounted(t, m, d)
}

// TestRecoverUnmounted: somebody has unmounted it meanwhile, or the crash came
// between the record and the mount.
func TestRecoverUnmounted(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	crash(t, m, d)
	if err := unix.Unmount(filepath.Join(m.o.Root, "STICK"), 0); err != nil {
		t.Fatal(err)
	}
	m = again(t, m)
	if reused, err := m.Recover(here); err != nil || len(reused) != 0 {
		t.Errorf("%v %v", reused, err)
	}
	nothingLeft(t, m, d)
}

// TestRecoverAfterPowerCut: the records are gone with /run, the directories are
// not. Those that Mount made are removed, and nothing else.
func TestRecoverAfterPowerCut(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	crash(t, m, d)
	if err := unix.Unmount(filepath.Join(m.o.Root, "STICK"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(m.o.RunDir, recordFile)); err != nil {
		t.Fatal(err)
	}
	sticky := func(name string) string {
		path := filepath.Join(m.o.Root, name)
		os.Mkdir(path, 0o755)
		if err := os.Chmod(path, 0o755|os.ModeSticky); err != nil {
			t.Fatal(err)
		}
		return path
	}
	os.Mkdir(filepath.Join(m.o.Root, "ADMIN"), 0o755)
	os.Chmod(sticky("UMASK077"), 0o700|os.ModeSticky) // as under the unit
	os.Mkdir(sticky("FULL")+"/x", 0o755)
	os.Chown(sticky("SOMEBODY"), 65534, 65534)
	if err := unix.Mount("tmpfs", sticky("MOUNTED"), "tmpfs", 0, "mode=1755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(filepath.Join(m.o.Root, "MOUNTED"), 0) })
	os.Symlink(sticky("TARGET"), filepath.Join(m.o.Root, "LINK"))
	os.WriteFile(filepath.Join(m.o.Root, "FILE"), nil, 0o644)

	m = again(t, m)
	if reused, err := m.Recover(here); err != nil || len(reused) != 0 {
		t.Errorf("%v %v", reused, err)
	}
	var left []string
	list, err := os.ReadDir(m.o.Root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		left = append(left, e.Name())
	}
	if want := "ADMIN FILE FULL LINK MOUNTED SOMEBODY"; strings.Join(left, " ") != want {
		t.Errorf("left in the mount root: %s; want %s", strings.Join(left, " "), want)
	}
	x := mounted(t, m, d)
	if filepath.Base(x.Target) != "STICK" {
		t.Errorf("mounted on %s", x.Target)
	}
}

// TestRecoverNTFS3G: the process outlives the agent, serves on, and ends with
// the mount; a mount whose process has died is cleaned up.
func TestRecoverNTFS3G(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ntfs-3g")
	for _, dead := range []bool{false, true} {
		d := loop(t, ntfsStick(t, "STICK"), false)
		m := mounter(t)
		crash(t, m, d)
		m = again(t, m)
		records, err := m.load()
		if err != nil || len(records) != 1 || !records[0].Helper.alive() {
			t.Fatalf("%+v %v", records, err)
		}
		if dead {
			records[0].Helper.kill()
			records[0].Helper.end()
		}
		reused, err := m.Recover(here)
		if err != nil || len(reused) == 1 == dead {
			t.Fatalf("dead %v: %v %v", dead, reused, err)
		}
		if !dead {
			if b, err := os.ReadFile(filepath.Join(reused[0].Target, "Größe.txt")); err != nil || string(b) != "hello" {
				t.Errorf("%q %v", b, err)
			}
			detached(t, m, reused[0])
		}
		nothingLeft(t, m, d)
		if records[0].Helper.alive() {
			t.Error("the process is still there")
		}
	}
}

// TestRecoverHostile: a mounts.json that nobody wrote so is an error, and
// nothing is unmounted or removed.
func TestRecoverHostile(t *testing.T) {
	need.Root(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.Mkdir(victim, 0o755); err != nil {
		t.Fatal(err)
	}
	many := "[" + strings.TrimSuffix(strings.Repeat(`{"target":"ROOT/x"},`, MaxRecords+1), ",") + "]"
	for name, content := range map[string]string{
		"nothing":          "",
		"no JSON":          "{",
		"elsewhere":        fmt.Sprintf(`[{"target":%q,"made":true}]`, victim),
		"through the root": fmt.Sprintf(`[{"target":"ROOT/../%s","made":true}]`, filepath.Base(victim)),
		"the root itself":  `[{"target":"ROOT","made":true}]`,
		"relative":         `[{"target":"victim","made":true}]`,
		"too many":         many,
		"too large":        "[" + strings.Repeat(" ", MaxRecordFile) + "]",
	} {
		m := mounter(t)
		if err := os.MkdirAll(m.o.RunDir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(m.o.RunDir, recordFile), []byte(strings.ReplaceAll(content, "ROOT", m.o.Root)))
		if reused, err := m.Recover(here); err == nil || len(reused) > 0 {
			t.Errorf("%s: %v %v", name, reused, err)
		}
		if _, err := os.Stat(victim); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// TestMaxRecords: one mount more is an error before anything is mounted.
func TestMaxRecords(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t)
	for i := range MaxRecords {
		m.records = append(m.records, record{Device: d, Target: filepath.Join(m.o.Root, fmt.Sprint(i)), Label: strings.Repeat("\U0010ffff", 128)})
	}
	if data, err := json.Marshal(m.records); err != nil || len(data) > MaxRecordFile {
		t.Errorf("as many as are allowed need %d bytes, %v", len(data), err)
	}
	if x, err := m.Mount(t.Context(), d); err == nil || !strings.Contains(err.Error(), "mounts already") {
		t.Errorf("%+v, %v", x, err)
	}
	if at, err := mountedAt(d); err != nil || at != "" {
		t.Errorf("mounted at %q, %v", at, err)
	}
}

// TestNoRunDir: nothing is recorded, and nothing recovered.
func TestNoRunDir(t *testing.T) {
	d := loop(t, ext4Stick(t, "STICK"), false)
	m := mounter(t, func(o *Options) { o.RunDir = "" })
	if reused, err := m.Recover(here); err != nil || len(reused) > 0 {
		t.Errorf("%v %v", reused, err)
	}
	x := mounted(t, m, d)
	if _, err := os.Stat(recordFile); err == nil {
		t.Error("there is a file")
	}
	detached(t, m, x)
}
