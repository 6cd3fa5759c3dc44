// SPDX-License-Identifier: GPL-3.0-or-later

package raucbench

import (
	"strings"

	"github.com/godbus/dbus/v5"
)

// The methods of Fake on the bus, interface by interface.
type (
	fakeRAUC          Fake
	fakeProperties    Fake
	fakeIntrospection Fake
)

func (r *fakeRAUC) InstallBundle(path string, options map[string]dbus.Variant) *dbus.Error {
	f := (*Fake)(r)
	_, _, version, _ := f.behaviour()
	if version == "0" {
		return unknown("InstallBundle")
	}
	if err := f.enter("InstallBundle"); err != nil {
		return failed("Already processing a different method")
	}
	if _, ok := options["require-manifest-hash"]; ok && version != "1.12" {
		return failed("Unsupported key: require-manifest-hash")
	}
	return f.accept(path, options)
}

func (r *fakeRAUC) Install(path string) *dbus.Error {
	f := (*Fake)(r)
	if err := f.enter("Install"); err != nil {
		return failed("rauc installer error")
	}
	return f.accept(path, nil)
}

func (f *Fake) accept(path string, options map[string]dbus.Variant) *dbus.Error {
	f.SetBusy(true)
	install, before, _, _ := f.behaviour()
	if before != nil {
		before(f)
	}
	if install != nil {
		go install(f, path, options)
	}
	return nil
}

func (r *fakeRAUC) InspectBundle(string, map[string]dbus.Variant) (map[string]dbus.Variant, *dbus.Error) {
	f := (*Fake)(r)
	_, _, version, bundle := f.behaviour()
	if version != "1.12" {
		return nil, unknown("InspectBundle")
	}
	return bundle, f.enter("InspectBundle")
}

type slotStatus struct {
	Name   string
	Status map[string]dbus.Variant
}

func (r *fakeRAUC) GetSlotStatus() ([]slotStatus, *dbus.Error) {
	f := (*Fake)(r)
	if err := f.enter("GetSlotStatus"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []slotStatus
	for name, status := range f.status {
		kept := map[string]dbus.Variant{}
		for key, value := range status {
			kept[key] = value
		}
		all = append(all, slotStatus{name, kept})
	}
	return all, nil
}

func (r *fakeRAUC) GetPrimary() (string, *dbus.Error) {
	f := (*Fake)(r)
	if err := f.enter("GetPrimary"); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.primary, nil
}

func (p *fakeProperties) Get(_, name string) (dbus.Variant, *dbus.Error) {
	return dbus.MakeVariant(map[string]string{
		"Compatible": Compatible, "BootSlot": "A", "Operation": "idle", "LastError": "an error of yesterday",
	}[name]), nil
}

func (i *fakeIntrospection) Introspect() (string, *dbus.Error) {
	methods := []string{"Install"}
	_, _, version, _ := (*Fake)(i).behaviour()
	if version != "0" {
		methods = append(methods, "InstallBundle")
	}
	if version == "1.12" {
		methods = append(methods, "InspectBundle")
	}
	return `<node><interface name="` + iface + `"><method name="` + strings.Join(methods, `"/><method name="`) + `"/></interface></node>`, nil
}
