// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"usbagent/test/need"
	"usbagent/test/raucbench"
)

// fakeInit is systemd and logind as far as this package asks them.
type fakeInit struct {
	mu       sync.Mutex
	state    string // SystemState
	down     bool   // PreparingForShutdown
	unit     map[string]dbus.Variant
	reboots  []string
	refusing map[string]bool // services that refuse to reboot
}

func (f *fakeInit) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// part is the interface of one service of fakeInit.
type part struct {
	*fakeInit
	name string
}

func (p part) reboot() *dbus.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusing[p.name] {
		return dbus.NewError("org.freedesktop.DBus.Error.AccessDenied", []any{"no"})
	}
	p.reboots = append(p.reboots, p.name)
	return nil
}

func (p part) LoadUnit(name string) (dbus.ObjectPath, *dbus.Error) {
	if name != MarkGoodUnit {
		return "", dbus.NewError("org.freedesktop.systemd1.NoSuchUnit", nil)
	}
	return "/unit", nil
}

func (p part) Get(of, property string) (dbus.Variant, *dbus.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if value, ok := p.unit[property]; ok && of == systemdUnit {
		return value, nil
	}
	if of == systemdUnit {
		return dbus.MakeVariant(""), nil
	}
	if property == "SystemState" {
		return dbus.MakeVariant(p.state), nil
	}
	return dbus.MakeVariant(p.down), nil
}

// systemdReboot and logindReboot have the signatures of the real ones.
type systemdReboot struct{ part }

func (s systemdReboot) Reboot() *dbus.Error { return s.reboot() }

type logindReboot struct{ part }

func (l logindReboot) Reboot(bool) *dbus.Error { return l.reboot() }

// newMachine starts a bus with systemd and logind where wanted.
func newMachine(t *testing.T, uid int, names ...string) (*raucbench.Bus, *fakeInit, *Machine) {
	t.Helper()
	need.Root(t)
	need.Tool(t, "dbus-daemon")
	bus, err := raucbench.StartBus("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Stop)
	f := &fakeInit{state: "running", refusing: map[string]bool{}}
	for _, name := range names {
		conn, err := bus.DialAs(uid)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		p := part{f, name}
		if name == systemdName {
			err = errors.Join(conn.Export(systemdReboot{p}, systemdPath, systemdManager),
				conn.Export(p, systemdPath, properties), conn.Export(p, "/unit", properties), conn.Export(p, markGoodPath, properties))
		} else {
			err = errors.Join(conn.Export(logindReboot{p}, logindPath, logindManager), conn.Export(p, logindPath, properties))
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.RequestName(name, 0); err != nil {
			t.Fatal(err)
		}
	}
	m := NewMachine(MachineOptions{BusAddress: bus.Address})
	m.poll = 20 * time.Millisecond
	return bus, f, m
}

func TestBootFinished(t *testing.T) {
	_, f, m := newMachine(t, 0, systemdName)
	for _, state := range []string{"running", "degraded", "maintenance", "offline"} {
		f.set(func() { f.state = state })
		if err := m.BootFinished(soon(t)); err != nil {
			t.Errorf("%s: %v", state, err)
		}
	}
	f.set(func() { f.state = "stopping" })
	if err := m.BootFinished(soon(t)); !errors.Is(err, ErrShuttingDown) || !m.ShuttingDown(soon(t)) {
		t.Errorf("stopping: %v, ShuttingDown %v", err, m.ShuttingDown(soon(t)))
	}
	f.set(func() { f.state = "starting" })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := m.BootFinished(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "starting") {
		t.Errorf("starting for ever: %v", err)
	}
	time.AfterFunc(200*time.Millisecond, func() { f.set(func() { f.state = "running" }) })
	if err := m.BootFinished(soon(t)); err != nil {
		t.Errorf("starting, then running: %v", err)
	}
}

func TestNoSystemd(t *testing.T) {
	_, _, m := newMachine(t, 0)
	if err := m.confirmed(soon(t)); err != nil {
		t.Errorf("confirmed without systemd: %v", err)
	}
	if m.ShuttingDown(soon(t)) {
		t.Error("ShuttingDown without anybody to ask")
	}
	if err := m.Reboot(soon(t)); err == nil {
		t.Error("a bench without systemd and logind rebooted something")
	}
}

func TestShuttingDown(t *testing.T) {
	_, f, m := newMachine(t, 0, systemdName, logindName)
	if m.ShuttingDown(soon(t)) {
		t.Error("ShuttingDown while running")
	}
	f.set(func() { f.down = true })
	if !m.ShuttingDown(soon(t)) {
		t.Error("logind's PreparingForShutdown was not seen")
	}
}

func TestReboot(t *testing.T) {
	_, f, m := newMachine(t, 0, systemdName, logindName)
	reboot := func() {
		t.Helper()
		if err := m.Reboot(soon(t)); err != nil {
			t.Error(err)
		}
	}
	reboot()
	f.set(func() { f.refusing[logindName] = true })
	reboot()
	f.set(func() { f.refusing[systemdName] = true })
	if err := m.Reboot(soon(t)); err == nil {
		t.Error("refused by both, and no error")
	}
	if got := strings.Join(f.reboots, " "); got != logindName+" "+systemdName {
		t.Errorf("reboots: %s", got)
	}
	mark := filepath.Join(t.TempDir(), "rebooted")
	m = NewMachine(MachineOptions{BusAddress: m.o.BusAddress, RebootCommand: []string{"touch", mark}})
	reboot()
	if _, err := os.Stat(mark); err != nil || len(f.reboots) != 2 {
		t.Errorf("RebootCommand: %v, reboots %v", err, f.reboots)
	}
}

// TestStrangersSystemd: a name that is not root's is neither asked nor believed.
func TestStrangersSystemd(t *testing.T) {
	_, f, m := newMachine(t, 65534, systemdName, logindName)
	f.set(func() { f.state = "stopping" })
	if m.ShuttingDown(soon(t)) {
		t.Error("a stranger's word stopped the work")
	}
	if err := m.Reboot(soon(t)); !errors.Is(err, ErrDistrusted) || len(f.reboots) != 0 {
		t.Errorf("Reboot = %v, asked %v", err, f.reboots)
	}
}

// TestMarkGoodUnit: RAUC's mark-good, where it exists, has to be done.
func TestMarkGoodUnit(t *testing.T) {
	_, f, m := newMachine(t, 0, systemdName)
	v := func(x any) dbus.Variant { return dbus.MakeVariant(x) }
	unit := func(load, active, file string, condition bool, checked, exited uint64) map[string]dbus.Variant {
		return map[string]dbus.Variant{"LoadState": v(load), "ActiveState": v(active), "UnitFileState": v(file),
			"ConditionResult": v(condition), "ConditionTimestampMonotonic": v(checked), "InactiveExitTimestampMonotonic": v(exited)}
	}
	for name, c := range map[string]struct {
		unit  map[string]dbus.Variant
		ready bool
	}{
		"not there":         {unit("not-found", "inactive", "", false, 0, 0), true},
		"done, remains":     {unit("loaded", "active", "enabled", true, 9, 9), true},
		"done, inactive":    {unit("loaded", "inactive", "enabled", true, 9, 9), true},
		"does not apply":    {unit("loaded", "inactive", "enabled", false, 9, 0), true},
		"disabled":          {unit("loaded", "inactive", "disabled", false, 0, 0), true},
		"at work":           {unit("loaded", "activating", "enabled", true, 9, 9), false},
		"failed":            {unit("loaded", "failed", "enabled", true, 9, 9), false},
		"not begun":         {unit("loaded", "inactive", "enabled", false, 0, 0), false},
		"waits for a timer": {unit("loaded", "inactive", "static", false, 0, 0), false},
	} {
		f.set(func() { f.unit = c.unit })
		m.marked = false // another boot
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		err := m.confirmed(ctx)
		cancel()
		if (err == nil) != c.ready {
			t.Errorf("%s: %v, want ready %v", name, err, c.ready)
		}
	}
}

// TestMarkedOnce: what MarkGoodUnit has done in this boot stays done, and is not
// asked for again; whether the boot has finished, or the machine goes down, is.
func TestMarkedOnce(t *testing.T) {
	_, f, m := newMachine(t, 0, systemdName)
	unit := func(active string) map[string]dbus.Variant {
		return map[string]dbus.Variant{"LoadState": dbus.MakeVariant("loaded"), "ActiveState": dbus.MakeVariant(active)}
	}
	f.set(func() { f.state, f.unit = "starting", unit("active") })
	if m.booted(soon(t)); m.isMarked() {
		t.Error("marked before the boot has finished")
	}
	f.set(func() { f.state, f.unit = "running", unit("activating") })
	if m.booted(soon(t)) || m.ShuttingDown(soon(t)) || m.isMarked() {
		t.Error("marked while the unit is at work")
	}
	f.set(func() { f.unit = unit("active") })
	if !m.booted(soon(t)) || !m.isMarked() {
		t.Error("not marked when the unit has done its work")
	}
	f.set(func() { f.unit = nil }) // asking for it would be an error
	if m.ShuttingDown(soon(t)) || !m.isSure() || !m.booted(soon(t)) || m.confirmed(soon(t)) != nil {
		t.Error("asked for the unit again")
	}
	f.set(func() { f.state = "stopping" })
	m.sure(time.Time{})
	if err := m.confirmed(soon(t)); !errors.Is(err, ErrShuttingDown) || !m.ShuttingDown(soon(t)) || m.isSure() {
		t.Errorf("going down: %v, sure %v", err, m.isSure())
	}
}

// TestWaitReady puts both together: RAUC is asked only after the boot, and
// ReadyTimeout ends the waiting with what it waited for.
func TestWaitReady(t *testing.T) {
	bus, f, m := newMachine(t, 0, systemdName)
	conn, err := bus.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fake, err := raucbench.NewFake(conn)
	if err != nil {
		t.Fatal(err)
	}
	f.set(func() {
		f.state = "starting"
		f.unit = map[string]dbus.Variant{"LoadState": dbus.MakeVariant("not-found")}
	})
	r := shortened(bus)
	r.machine, r.limits.ready = m, 500*time.Millisecond
	if _, err := r.WaitReady(soon(t), nil); !errors.Is(err, ErrNotReady) || len(fake.Calls()) != 0 {
		t.Errorf("WaitReady = %v after calls %v; want ErrNotReady without a call", err, fake.Calls())
	}
	f.set(func() { f.state = "running" })
	if _, err := r.WaitReady(soon(t), nil); err != nil {
		t.Error(err)
	}
	fake.SetSlot("rootfs.0", "boot-status", "bad")
	if _, err := r.WaitReady(soon(t), nil); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "rootfs.0 bad") {
		t.Errorf("slot not good: %v", err)
	}
}

// TestConfirmedInTheSameBreath: who asks whether the machine goes down has asked
// whether it is confirmed good, for SeenFor and until he asks again.
func TestConfirmedInTheSameBreath(t *testing.T) {
	_, f, m := newMachine(t, 0, systemdName, logindName)
	unit := func(load, active string) map[string]dbus.Variant {
		return map[string]dbus.Variant{"LoadState": dbus.MakeVariant(load), "ActiveState": dbus.MakeVariant(active)}
	}
	for name, c := range map[string]struct {
		state string
		down  bool
		unit  map[string]dbus.Variant
		sure  bool
	}{
		"done":           {"running", false, unit("loaded", "active"), true},
		"not there":      {"degraded", false, unit("not-found", "inactive"), true},
		"at work":        {"running", false, unit("loaded", "activating"), false},
		"failed":         {"running", false, unit("loaded", "failed"), false},
		"nothing told":   {"running", false, nil, false},
		"boot goes on":   {"starting", false, unit("loaded", "active"), false},
		"stopping":       {"stopping", false, unit("loaded", "active"), false},
		"going to go":    {"running", true, unit("loaded", "active"), false},
		"an unseen word": {"", false, unit("loaded", "inactive"), false},
	} {
		f.set(func() { f.state, f.down, f.unit = c.state, c.down, c.unit })
		m.marked = false // another boot
		if down := m.ShuttingDown(soon(t)); down != (c.down || c.state == "stopping") || m.isSure() != c.sure {
			t.Errorf("%s: going down %v, sure %v", name, down, m.isSure())
		}
	}
	f.set(func() { f.state, f.down, f.unit = "running", false, unit("loaded", "active") })
	m.marked = false
	m.ShuttingDown(soon(t))
	f.set(func() { f.state = "starting" })
	if err := m.confirmed(soon(t)); err != nil {
		t.Errorf("asked again at once: %v", err)
	}
	m.sure(time.Now().Add(-SeenFor))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := m.confirmed(ctx); err == nil {
		t.Error("not asked again after SeenFor")
	}
}
