// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// MarkGoodUnit is the unit with which meta-rauc, and distributions after it,
// mark the booted slot good. With some boot loaders (U-Boot's counters) a slot
// counts as good before it was marked so, and only the unit tells.
const MarkGoodUnit = "rauc-mark-good.service"

const systemdUnit = "org.freedesktop.systemd1.Unit"

// confirmed returns when the boot has finished and MarkGoodUnit, where it is
// there and wanted, has done its work.
func (m *Machine) confirmed(ctx context.Context) error {
	if m.booted(ctx) {
		return nil
	}
	if err := m.BootFinished(ctx); err != nil {
		return err
	}
	for {
		u, err := m.unit(ctx, MarkGoodUnit)
		if errors.Is(err, errNoOwner) || err != nil && m.own() && !hasSystemd() {
			return nil
		}
		if err == nil && u.settled() {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%s is %s", MarkGoodUnit, u.active)
		}
		if !sleep(ctx, m.poll) {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// booted asks both on one connection, once, and waits for nothing.
func (m *Machine) booted(ctx context.Context) bool {
	good := false
	err := m.with(ctx, systemdName, func(ctx context.Context, b bus, owner string) error {
		state, err := b.state(ctx, owner)
		if err != nil || !bootHasFinished(state) {
			return err
		}
		u, err := b.unit(ctx, owner, MarkGoodUnit)
		good = u.settled()
		return err
	})
	return err == nil && good
}

// unit is the state of a systemd unit.
type unit struct {
	load, active, file string
	condition          bool   // its last condition check was passed
	checked, exited    uint64 // when its condition was checked, when it left "inactive"; 0: never
}

// settled reports whether nothing is to be waited for: the unit is not there,
// is not wanted, does not apply, or has done its work. One that failed may be
// started again.
func (u unit) settled() bool {
	switch {
	case u.load != "loaded", u.active == "active":
		return true
	case u.active != "inactive":
		return false // activating, deactivating, failed
	case u.exited != 0:
		return true // ran and ended well
	}
	return u.checked != 0 && !u.condition || u.file == "disabled" || u.file == "masked"
}

// unit asks systemd for the unit name.
func (m *Machine) unit(ctx context.Context, name string) (u unit, err error) {
	err = m.with(ctx, systemdName, func(ctx context.Context, b bus, owner string) (err error) {
		u, err = b.unit(ctx, owner, name)
		return err
	})
	return u, err
}

// unit is unit of the systemd whose name on the bus is owner.
func (b bus) unit(ctx context.Context, owner, name string) (unit, error) {
	var path dbus.ObjectPath
	if err := b.call(ctx, b.Object(owner, systemdPath), systemdManager+".LoadUnit", []any{name}, &path); err != nil {
		return unit{}, err
	}
	// One by one: all of them at once would be more work for systemd.
	var failed error
	get := func(name string) any {
		v, err := b.property(ctx, owner, path, systemdUnit, name)
		failed = errors.Join(failed, err)
		return v.Value()
	}
	text := func(name string) string { s, _ := get(name).(string); return s }
	number := func(name string) uint64 { n, _ := get(name).(uint64); return n }
	condition, _ := get("ConditionResult").(bool)
	return unit{
		load: text("LoadState"), active: text("ActiveState"), file: text("UnitFileState"),
		condition: condition, checked: number("ConditionTimestampMonotonic"),
		exited: number("InactiveExitTimestampMonotonic"),
	}, failed
}
