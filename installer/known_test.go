// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"usbagent/test/raucbench"
)

// sourced gives r a board's configuration: U-Boot's environment in two copies on
// what stands for the eMMC, and a status file for all slots.
func sourced(t *testing.T, r *RAUC) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.o.SystemConf, r.o.FwEnvConfig = filepath.Join(dir, "system.conf"), filepath.Join(dir, "fw_env.config")
	write("system.conf", "[system]\ncompatible=board\nbootloader=uboot\nstatusfile="+dir+"/status\n")
	write("fw_env.config", "# device offset size\n"+dir+"/card 0x1000 0x2000\n\n"+dir+"/card 0x4000 0x2000 0x200 # sector\n")
	write("card", strings.Repeat("E", 0x8000))
	write("status", "[slot.rootfs.0]\n")
	return dir
}

// TestKnown: what Prepare was told counts without asking as long as all is the
// same that it depends on, and no longer.
func TestKnown(t *testing.T) {
	_, fake, r := newFake(t)
	dir := sourced(t, r)
	prepared := func() {
		t.Helper()
		r.Prepare(soon(t))
		if _, ok := r.Known(); !ok {
			t.Fatal("nothing is known after Prepare")
		}
	}
	r.Prepare(soon(t))
	if _, ok := r.Known(); ok {
		t.Error("known though the system was not confirmed good")
	}
	r.machine.mark()
	prepared()
	want, err := r.System(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	calls := len(fake.Calls())
	got, _ := r.Known()
	if len(got.Slots) != len(want.Slots) || got.Primary != want.Primary || got.Compatible != want.Compatible || len(fake.Calls()) != calls {
		t.Errorf("known %+v, want %+v; %d calls", got, want, len(fake.Calls())-calls)
	}
	at := func(name string, offset int64, text string) func() error {
		return func() error {
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE, 0o644)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte(text), offset)
			return errors.Join(err, f.Close())
		}
	}
	for _, c := range []struct {
		name   string
		change func() error
	}{
		{"first byte of the first environment", at("card", 0x1000, "x")},
		{"last byte of the first environment", at("card", 0x2fff, "x")},
		{"last byte of the second environment", at("card", 0x5fff, "x")},
		{"status file", at("status", 3, "x")},
		{"status file gone", func() error { return os.Remove(filepath.Join(dir, "status")) }},
		{"status file there", at("status", 0, "[slot.rootfs.1]\n")},
		{"where the environment is", at("fw_env.config", 2, "DEVICE")},
		{"configuration", at("system.conf", 9, "compatiblE=board")},
	} {
		prepared()
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		if _, ok := r.Known(); ok {
			t.Errorf("%s: another one, and the answer counts", c.name)
		}
	}
	prepared()
	if err := errors.Join(at("card", 0xfff, "x")(), at("card", 0x6000, "x")()); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Known(); !ok {
		t.Error("what lies beside the environments counts")
	}
}

// TestNothingKnown: where RAUC does not run it is not started, and nothing is
// known where its answers depend on more than can be looked at.
func TestNothingKnown(t *testing.T) {
	_, fake, r := newFake(t)
	dir := sourced(t, r)
	r.machine.mark()
	unknown := func(name string) {
		t.Helper()
		calls := len(fake.Calls())
		r.Prepare(soon(t))
		if _, ok := r.Known(); ok || len(fake.Calls()) != calls {
			t.Errorf("%s: known %v, %d calls", name, ok, len(fake.Calls())-calls)
		}
	}
	conf, env := r.o.SystemConf, r.o.FwEnvConfig
	set := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	status := "statusfile=" + dir + "/status\n"
	for name, text := range map[string]string{
		"another boot loader": "[system]\nbootloader=barebox\n" + status,
		"a status file each":  "[system]\nbootloader=uboot\n",
		"per slot":            "[system]\nbootloader=uboot\nstatusfile=per-slot\n",
		"no configuration":    "nonsense",
	} {
		set(conf, text)
		unknown(name)
	}
	set(conf, "[system]\nbootloader=uboot\n"+status)
	card := dir + "/card "
	for name, text := range map[string]string{
		"no environment":        "# none\n",
		"three environments":    card + "0 1\n" + card + "1 1\n" + card + "2 1\n",
		"from the end":          card + "-0x2000 0x2000\n",
		"nothing of it":         card + "0 0\n",
		"no size":               card + "0\n",
		"no number":             card + "0 many\n",
		"beyond the end":        card + "0x7000 0x2000\n",
		"larger than the limit": card + "0 0x40001\n",
		"no absolute path":      "card 0 0x2000\n",
		"not there":             dir + "/none 0 0x2000\n",
		"a directory":           dir + " 0 0x2000\n",
	} {
		set(env, text)
		unknown(name)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	set(env, fifo+" 0 0x2000\n")
	unknown("a FIFO")
	set(env, card+"0 0x2000\n")
	for name, path := range map[string]string{"fw_env.config": env, "status file": dir + "/status"} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		set(path, string(before)+strings.Repeat("#", MaxFwEnvConfig+MaxStatusFile))
		unknown(name + " that is too large")
		set(path, string(before))
	}
	if _, err := fake.Conn.ReleaseName(raucName); err != nil {
		t.Fatal(err)
	}
	unknown("RAUC does not run")
	if _, err := raucbench.NewFake(fake.Conn); err != nil {
		t.Fatal(err)
	}
	r.Prepare(soon(t))
	if _, ok := r.Known(); !ok {
		t.Error("nothing known of a good configuration")
	}
}

// TestFwEnvConfigLimits: at each limit it is good.
func TestFwEnvConfigLimits(t *testing.T) {
	line := "/dev/mmcblk0p4 0x0 0x40000\n"
	copies, err := parseFwEnvConfig([]byte(strings.Repeat(line, MaxEnvironments)))
	if err != nil || len(copies) != MaxEnvironments || copies[0].size != MaxEnvironment {
		t.Errorf("%+v, %v", copies, err)
	}
	path := filepath.Join(t.TempDir(), "file")
	for size, good := range map[int]bool{MaxStatusFile: true, MaxStatusFile + 1: false} {
		if err := os.WriteFile(path, bytes.Repeat([]byte("s"), size), 0o600); err != nil {
			t.Fatal(err)
		}
		if data, err := readSource(path, 0, MaxStatusFile, false); (err == nil && len(data) == size) != good {
			t.Errorf("%d bytes: %d, %v", size, len(data), err)
		}
	}
}

// TestHold: it is asked when nothing but the call is left, and its error ends
// the installation before RAUC hears of it.
func TestHold(t *testing.T) {
	_, fake, r := newFake(t)
	not := errors.New("not now")
	if err := r.Install(soon(t), "/x", InstallOptions{Hold: func() error { return not }}, nil); !errors.Is(err, not) || len(fake.Calls()) != 0 {
		t.Errorf("Install = %v after calls %v", err, fake.Calls())
	}
	fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) { f.SetBusy(false); f.Completed(0) })
	asked := 0
	err := r.Install(soon(t), "/x", InstallOptions{Hold: func() error { asked += 1 + len(fake.Calls()); return nil }}, nil)
	if err != nil || asked != 1 || len(fake.Calls()) == 0 {
		t.Errorf("Install = %v, asked %d, calls %v", err, asked, fake.Calls())
	}
}
