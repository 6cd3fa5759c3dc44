// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Stick is a USB storage device with one medium or, as a multi-slot reader,
// several. The files are QEMU's while the stick is in: one stick, one copy.
type Stick struct {
	// Media are image files, one for each slot of the reader.
	Media []string
	// ReadOnly is a stick with its write protection on.
	ReadOnly bool
	// Port is the path of hub ports such as "1.2"; "" is the first free one.
	Port string
	// UAS makes it a USB-attached-SCSI device (not on the i.MX's ports).
	UAS bool
	// Empty is a reader whose media are put in later, by Insert.
	Empty bool

	id      string
	machine *machine
}

var stickNumber atomic.Int64

// NewStick is a plain stick with that image.
func NewStick(image string) *Stick { return &Stick{Media: []string{image}} }

// attach plugs the stick into a machine.
func (s *Stick) attach(m *machine, bus string) error {
	s.machine = m
	s.id = fmt.Sprintf("stick%d", stickNumber.Add(1))
	for i, path := range s.Media {
		node := map[string]any{
			"driver": "raw", "node-name": s.node(i), "read-only": s.ReadOnly,
			"file": map[string]any{"driver": "file", "filename": path},
		}
		if err := m.qmp.do("blockdev-add", node, nil); err != nil {
			return fmt.Errorf("plug %s: %w", path, err)
		}
	}
	if len(s.Media) == 1 && !s.UAS && !s.Empty {
		return m.qmp.do("device_add", s.at(map[string]any{
			"driver": "usb-storage", "id": s.id, "bus": bus, "drive": s.node(0), "removable": true,
		}), nil)
	}
	return s.attachReader(m, bus)
}

// attachReader plugs a device whose media are SCSI disks of their own.
func (s *Stick) attachReader(m *machine, bus string) error {
	device := map[string]any{"driver": "usb-bot", "id": s.id, "bus": bus, "attached": false}
	if s.UAS {
		device["driver"] = "usb-uas"
		if s.Port == "" {
			s.Port = fastPort
		}
	}
	if err := m.qmp.do("device_add", s.at(device), nil); err != nil {
		return err
	}
	for i := range s.Media {
		disk := map[string]any{
			"driver": "scsi-hd", "id": s.disk(i), "bus": s.id + ".0", "lun": i, "drive": s.node(i), "removable": true,
		}
		if err := m.qmp.do("device_add", disk, nil); err != nil {
			return err
		}
		if s.Empty {
			if err := s.Eject(i); err != nil {
				return err
			}
		}
	}
	path := map[string]any{"path": "/machine/peripheral/" + s.id, "property": "attached", "value": true}
	return m.qmp.do("qom-set", path, nil)
}

// fastPort is a port of the xHCI itself: those of QEMU's hub are too slow for
// UAS, and QEMU takes them first.
const fastPort = "2"

// at adds the port to a device's arguments.
func (s *Stick) at(device map[string]any) map[string]any {
	if s.Port != "" {
		device["port"] = s.Port
	}
	return device
}

func (s *Stick) node(i int) string { return fmt.Sprintf("%s-medium%d", s.id, i) }
func (s *Stick) disk(i int) string { return fmt.Sprintf("%s-disk%d", s.id, i) }

// Eject takes the medium out of a reader's slot; the reader stays.
func (s *Stick) Eject(slot int) error {
	if err := s.machine.qmp.do("blockdev-open-tray", map[string]any{"id": s.disk(slot), "force": true}, nil); err != nil {
		return err
	}
	return s.machine.qmp.do("blockdev-remove-medium", map[string]any{"id": s.disk(slot)}, nil)
}

// Insert puts the medium back into a reader's slot.
func (s *Stick) Insert(slot int) error {
	if err := s.machine.qmp.do("blockdev-insert-medium", map[string]any{"id": s.disk(slot), "node-name": s.node(slot)}, nil); err != nil {
		return err
	}
	return s.machine.qmp.do("blockdev-close-tray", map[string]any{"id": s.disk(slot)}, nil)
}

// Plug puts the stick into the board and returns the instant it did.
func (b *Board) Plug(s *Stick) (time.Time, error) {
	b.mu.Lock()
	m := b.m
	b.sticks = append(b.sticks, s)
	b.mu.Unlock()
	now := time.Now()
	return now, s.attach(m, b.firmware.bus)
}

// Pull takes the stick out at once, whatever is going on.
func (b *Board) Pull(s *Stick) error {
	b.mu.Lock()
	for i := range b.sticks {
		if b.sticks[i] == s {
			b.sticks = append(b.sticks[:i], b.sticks[i+1:]...)
			break
		}
	}
	b.mu.Unlock()
	return s.detach()
}

// detach removes the device and gives its files back.
func (s *Stick) detach() error {
	m := s.machine
	if err := m.qmp.do("device_del", map[string]any{"id": s.id}, nil); err != nil {
		return err
	}
	for i := range s.Media {
		deadline := time.Now().Add(MonitorTimeout)
		for {
			err := m.qmp.do("blockdev-del", map[string]any{"node-name": s.node(i)}, nil)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("pull: %w", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}
