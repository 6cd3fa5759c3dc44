// SPDX-License-Identifier: GPL-3.0-or-later

package raucbench

import (
	"fmt"
	"sync"

	"github.com/godbus/dbus/v5"
)

const (
	iface      = "de.pengutronix.rauc.Installer"
	properties = "org.freedesktop.DBus.Properties"
)

// Fake is a service that has RAUC's name and does what a test wants: it lies,
// hangs, floods or never ends. It says what a board with two slots says, A
// booted, until it is told otherwise.
type Fake struct {
	Conn    *dbus.Conn
	mu      sync.Mutex
	busy    bool
	primary string
	status  map[string]map[string]dbus.Variant
	calls   []string

	install func(f *Fake, path string, options map[string]dbus.Variant)
	before  func(f *Fake)
	version string
	bundle  map[string]dbus.Variant
}

// NewFake takes RAUC's name on the bus through conn.
func NewFake(conn *dbus.Conn) (*Fake, error) {
	f := &Fake{Conn: conn, primary: "rootfs.0", status: map[string]map[string]dbus.Variant{}}
	for name, state := range map[string]string{"rootfs.0": "booted", "rootfs.1": "inactive"} {
		f.status[name] = map[string]dbus.Variant{
			"class": dbus.MakeVariant("rootfs"), "state": dbus.MakeVariant(state), "type": dbus.MakeVariant("raw"),
			"bootname": dbus.MakeVariant(map[string]string{"rootfs.0": "A", "rootfs.1": "B"}[name]),
			"device":   dbus.MakeVariant("/dev/null"), "boot-status": dbus.MakeVariant("good"),
		}
	}
	for name, object := range map[string]any{iface: (*fakeRAUC)(f), properties: (*fakeProperties)(f),
		"org.freedesktop.DBus.Introspectable": (*fakeIntrospection)(f)} {
		if err := conn.Export(object, "/", name); err != nil {
			return nil, err
		}
	}
	reply, err := conn.RequestName(busName, dbus.NameFlagDoNotQueue)
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = fmt.Errorf("the name is taken (%d)", reply)
	}
	if err != nil {
		return nil, fmt.Errorf("fake RAUC: %w", err)
	}
	return f, nil
}

// OnInstall says what to call, in a goroutine of its own, for each
// installation that was accepted; nil does nothing, for ever.
func (f *Fake) OnInstall(do func(f *Fake, path string, options map[string]dbus.Variant)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.install = do
}

// Before says what to call before the answer to InstallBundle leaves.
func (f *Fake) Before(do func(f *Fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = do
}

// SetVersion makes the service one of another version; "0" has no
// InstallBundle, "1.12" inspects bundles and is bound to a manifest's hash.
func (f *Fake) SetVersion(version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version = version
}

// SetBundle sets what InspectBundle answers.
func (f *Fake) SetBundle(answer map[string]dbus.Variant) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bundle = answer
}

// behaviour returns what was set.
func (f *Fake) behaviour() (install func(*Fake, string, map[string]dbus.Variant), before func(*Fake), version string, bundle map[string]dbus.Variant) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.install, f.before, f.version, f.bundle
}

// SetBusy makes the service answer like one that installs.
func (f *Fake) SetBusy(busy bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy = busy
}

// SetSlot changes what is said about a slot.
func (f *Fake) SetSlot(name, key string, value any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status[name] == nil {
		f.status[name] = map[string]dbus.Variant{}
	}
	f.status[name][key] = dbus.MakeVariant(value)
}

// SetPrimary changes which slot boots next.
func (f *Fake) SetPrimary(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.primary = name
}

// Calls returns the names of the methods that were called, in order.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

// Completed emits the signal.
func (f *Fake) Completed(result int32) { f.Conn.Emit("/", iface+".Completed", result) }

// Progress emits a change of the property.
func (f *Fake) Progress(percent int32, message string) {
	p := struct {
		Percent int32
		Message string
		Depth   int32
	}{percent, message, 1}
	f.Conn.Emit("/", properties+".PropertiesChanged", iface,
		map[string]dbus.Variant{"Progress": dbus.MakeVariant(p)}, []string{})
}

// Finish writes sha256 into slot rootfs.1, makes it primary, and completes.
func (f *Fake) Finish(sha256 string) {
	f.SetSlot("rootfs.1", "sha256", sha256)
	f.SetSlot("rootfs.1", "status", "ok")
	f.SetPrimary("rootfs.1")
	f.SetBusy(false)
	f.Completed(0)
}

// enter notes a call; it is an error while the service is busy.
func (f *Fake) enter(method string) *dbus.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, method)
	if f.busy {
		return failed("already processing a different method")
	}
	return nil
}

func failed(message string) *dbus.Error {
	return dbus.NewError("org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code30", []any{message})
}

func unknown(method string) *dbus.Error {
	return dbus.NewError("org.freedesktop.DBus.Error.UnknownMethod", []any{"No such method " + method})
}
