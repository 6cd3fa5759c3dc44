// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usbagent/internal/systembus"
)

// MarkGoodUnit is the unit with which meta-rauc, and distributions after it,
// mark the booted slot good. With some boot loaders (U-Boot's counters) a slot
// counts as good before it was marked so, and only the unit tells.
const MarkGoodUnit = "rauc-mark-good.service"

// markGoodPath is its object (org.freedesktop.systemd1(5)), which systemd makes
// when it is asked for.
const markGoodPath = "/org/freedesktop/systemd1/unit/rauc_2dmark_2dgood_2eservice"

const systemdUnit = "org.freedesktop.systemd1.Unit"

// confirmed returns when the boot has finished and MarkGoodUnit, where it is
// there and wanted, has done its work.
func (m *Machine) confirmed(ctx context.Context) error {
	if m.isSure() || m.booted(ctx) {
		return nil
	}
	if err := m.BootFinished(ctx); err != nil {
		return err
	}
	for !m.isMarked() {
		u, err := m.unit(ctx, MarkGoodUnit)
		if errors.Is(err, errNoOwner) || err != nil && m.own() && !hasSystemd() {
			return nil
		}
		if err == nil && u.settled() {
			m.mark()
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%s is %s", MarkGoodUnit, u.active)
		}
		if !sleep(ctx, m.poll) {
			return errors.Join(context.Cause(ctx), err)
		}
	}
	return nil
}

// mark remembers that MarkGoodUnit has nothing left to do.
func (m *Machine) mark() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marked = true
}

func (m *Machine) isMarked() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.marked
}

// sure remembers that at this time the machine was confirmed; zero forgets it.
func (m *Machine) sure(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.good = at
}

// isSure reports whether that was less than SeenFor ago.
func (m *Machine) isSure() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.good.IsZero() && time.Since(m.good) < SeenFor
}

// booted asks both at once, and waits for nothing.
func (m *Machine) booted(ctx context.Context) bool {
	good := false
	err := m.with(ctx, systemdName, func(ctx context.Context, b bus, owner string) error {
		if m.isMarked() {
			text, err := b.state(ctx, owner)
			good = bootHasFinished(text)
			return err
		}
		state := b.question(owner, systemdPath, systemdManager, "SystemState")
		u, err := b.unit(ctx, owner, MarkGoodUnit, state)
		text, _ := state.value().(string)
		if err := errors.Join(state.err, err); err != nil {
			return err
		}
		if good = bootHasFinished(text) && u.settled(); good {
			m.mark()
		}
		return nil
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

// unit is unit of the systemd whose name on the bus is owner. Further questions
// are asked with the first of its own.
func (b bus) unit(ctx context.Context, owner, name string, further ...*question) (u unit, err error) {
	var path systembus.ObjectPath
	load := &question{object: systembus.Object{Name: owner, Path: systemdPath}, method: systemdManager + ".LoadUnit", args: []any{name}, results: []any{&path}}
	b.askAll(ctx, append(further, load)...)
	if load.err != nil {
		return u, load.err
	}
	// One by one: all of them at once would be more work for systemd. Mostly
	// two are enough.
	get := func(names ...string) (values []any) {
		questions := make([]*question, len(names))
		for i, name := range names {
			questions[i] = b.question(owner, path, systemdUnit, name)
		}
		b.askAll(ctx, questions...)
		for _, q := range questions {
			err = errors.Join(err, q.err)
			values = append(values, q.value())
		}
		return values
	}
	values := get("LoadState", "ActiveState")
	u.load, _ = values[0].(string)
	u.active, _ = values[1].(string)
	if err != nil || u.settled() {
		return u, err
	}
	values = get("UnitFileState", "ConditionResult", "ConditionTimestampMonotonic", "InactiveExitTimestampMonotonic")
	u.file, _ = values[0].(string)
	u.condition, _ = values[1].(bool)
	u.checked, _ = values[2].(uint64)
	u.exited, _ = values[3].(uint64)
	return u, err
}
