// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"usbagent/internal/systembus"
)

// MaxSlots is the largest number of slots looked at.
const MaxSlots = 256

// System asks RAUC for compatible, variant, slots and the slot that boots next.
func (r *RAUC) System(ctx context.Context) (System, error) {
	s, err := r.dial(ctx)
	if err != nil {
		return System{}, err
	}
	defer s.close()
	system, err := s.system(ctx)
	if err != nil {
		return System{}, fmt.Errorf("ask RAUC for its slots: %w", err)
	}
	if conf, err := ReadSystemConf(r.o.SystemConf); err == nil {
		system.KeepsPrimary = conf.KeepsPrimary
		system.forgetBootStatus(conf.Bootloader == "noop")
	} else {
		system.forgetBootStatus(system.Primary == "")
	}
	return system, nil
}

// forgetBootStatus clears what RAUC says about slots of a boot loader that
// tells nothing: it calls them all bad.
func (s System) forgetBootStatus(mute bool) {
	for i := range s.Slots {
		if mute {
			s.Slots[i].BootStatus = ""
		}
	}
}

// system asks all at once. RAUC answers one after the other, so that an
// installation which begins in between shows in the answer about the primary
// slot at the latest.
func (s *session) system(ctx context.Context) (System, error) {
	var raw []any
	var system System
	texts := map[string]*string{"Compatible": &system.Compatible, "Variant": &system.Variant, "BootSlot": &system.BootSlot}
	slots := &question{object: s.rauc, method: raucInterface + ".GetSlotStatus", results: []any{&raw}}
	primary := &question{object: s.rauc, method: raucInterface + ".GetPrimary", results: []any{&system.Primary}}
	var of []*question
	for name := range texts {
		of = append(of, &question{object: s.rauc, method: properties + ".Get", args: []any{raucInterface, name}, results: []any{new(any)}})
	}
	s.askAll(ctx, slices.Concat([]*question{slots}, of, []*question{primary})...)
	if slots.err != nil {
		return System{}, told(slots.err)
	}
	for _, q := range of {
		name := q.args[1].(string)
		if q.err != nil {
			return System{}, fmt.Errorf("property %s: %w", name, q.err)
		}
		*texts[name], _ = q.value().(string)
	}
	// A boot loader that cannot tell (noop), or cannot now, leaves it empty.
	if err := told(primary.err); errors.Is(err, ErrBusy) || isLost(err) || ctx.Err() != nil {
		return System{}, err
	}
	var err error
	system.Slots, err = slotsOf(raw)
	return system, err
}

// slots asks for the slots; ErrBusy is the one sure sign of an installation.
// (The property Operation is not: a refused second installation sets it to
// "idle" while the first goes on.)
func (s *session) slots(ctx context.Context) ([]Slot, error) {
	var raw []any
	if err := s.ask(ctx, "GetSlotStatus", nil, &raw); err != nil {
		return nil, err
	}
	return slotsOf(raw)
}

// slotsOf types the answer of GetSlotStatus, names each with a status.
func slotsOf(raw []any) ([]Slot, error) {
	if len(raw) > MaxSlots {
		return nil, fmt.Errorf("%d slots are more than %d", len(raw), MaxSlots)
	}
	slots := make([]Slot, 0, len(raw))
	for _, r := range raw {
		var name string
		var status map[string]any
		fields, _ := r.(systembus.Struct)
		if err := systembus.Store(fields, &name, &status); err != nil {
			return nil, fmt.Errorf("a slot's status: %w", err)
		}
		slots = append(slots, newSlot(name, status))
	}
	slices.SortFunc(slots, func(a, b Slot) int { return strings.Compare(a.Name, b.Name) })
	return slots, nil
}

// newSlot types one slot's status. A value of another type than RAUC documents
// counts as not told.
func newSlot(name string, status map[string]any) Slot {
	text := func(key string) string { s, _ := status[key].(string); return s }
	count := func(key string) uint32 { n, _ := status[key].(uint32); return n }
	size, _ := status["size"].(uint64)
	return Slot{
		Name: name, Class: text("class"), Device: text("device"), Type: text("type"),
		BootName: text("bootname"), Parent: text("parent"), State: text("state"),
		Description: text("description"), Mountpoint: text("mountpoint"),
		BootStatus: text("boot-status"), Status: text("status"),
		SHA256: strings.ToLower(text("sha256")), Size: size,
		BundleCompatible: text("bundle.compatible"), BundleVersion: text("bundle.version"),
		BundleBuild: text("bundle.build"), BundleDescription: text("bundle.description"),
		BundleHash:         text("bundle.hash"),
		InstalledTimestamp: text("installed.timestamp"), InstalledCount: count("installed.count"),
		InstalledTransaction: text("installed.transaction"),
		ActivatedTimestamp:   text("activated.timestamp"), ActivatedCount: count("activated.count"),
	}
}

// Running reports whether RAUC works on something.
func (r *RAUC) Running(ctx context.Context) (bool, error) {
	s, err := r.dial(ctx)
	if err != nil {
		return false, err
	}
	defer s.close()
	_, err = s.slots(ctx)
	if errors.Is(err, ErrBusy) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask RAUC whether it is busy: %w", err)
	}
	return false, nil
}
