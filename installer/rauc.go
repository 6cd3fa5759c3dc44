// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// RAUCOptions says how to reach RAUC; the zero value is right on a board.
type RAUCOptions struct {
	BusAddress string   // "" for DBUS_SYSTEM_BUS_ADDRESS or the usual one
	SystemConf string   // "" for DefaultSystemConf
	Program    string   // "" for rauc in PATH; only for what its D-Bus service does not offer
	Machine    *Machine // nil for one on the same bus
	// FwEnvConfig says where U-Boot's environment is; "" for DefaultFwEnvConfig.
	FwEnvConfig string
}

// RAUC is the backend that talks to RAUC's D-Bus service. An idle daemon holds
// no connection, and a restarted bus or service is found again.
type RAUC struct {
	o       RAUCOptions
	machine *Machine
	limits  limits
	spare   *spare

	mu    sync.Mutex
	known *known // nil for nothing
	binds binding
}

// limits are the named bounds, which tests shorten.
type limits struct {
	stall, total, probe, progress          time.Duration
	busy, busyPoll, ready, readyPoll, tool time.Duration
	connect, call                          time.Duration
}

// Limits of waiting.
const (
	// BusyTimeout is how long another's installation is waited for.
	BusyTimeout = 30 * time.Minute
	// BusyPoll is how often RAUC is asked whether it is idle, meanwhile.
	BusyPoll = 3 * time.Second
	// ReadyTimeout is how long the running system may take to be confirmed
	// good, counted from when an image is to be installed.
	ReadyTimeout = 15 * time.Minute
	// ReadyPoll is how often the slots are asked, meanwhile.
	ReadyPoll = 3 * time.Second
)

// NewRAUC connects to nothing yet.
func NewRAUC(o RAUCOptions) *RAUC {
	r := &RAUC{o: o, machine: o.Machine, limits: limits{
		stall: InstallStall, total: InstallTimeout, probe: IdleProbe, progress: ProgressInterval,
		busy: BusyTimeout, busyPoll: BusyPoll, ready: ReadyTimeout, readyPoll: ReadyPoll, tool: ToolTimeout,
		connect: ConnectTimeout, call: CallTimeout,
	}}
	if r.machine == nil {
		r.machine = NewMachine(MachineOptions{BusAddress: o.BusAddress})
	}
	if r.spare = r.machine.spare; r.machine.o.BusAddress != o.BusAddress {
		r.spare = &spare{}
	}
	return r
}

// Name returns "rauc".
func (r *RAUC) Name() string { return "rauc" }

// WaitIdle returns when RAUC works on nothing. A service that cannot be asked
// is an error at once, since it would not install either.
func (r *RAUC) WaitIdle(ctx context.Context) (System, error) {
	// Every question has its own bounds; the deadline counts between them, so
	// that the end of the waiting is not taken for an answer.
	deadline := time.Now().Add(r.limits.busy)
	for {
		system, err := r.System(ctx)
		if err == nil {
			return system, nil
		}
		if errors.Is(err, ErrBusy) {
			switch {
			case time.Now().After(deadline):
				err = fmt.Errorf("%w: waited %v", ErrBusy, r.limits.busy)
			case !sleep(ctx, r.limits.busyPoll):
				err = context.Cause(ctx)
			default:
				continue
			}
		}
		return System{}, fmt.Errorf("wait until RAUC is idle: %w", err)
	}
}

// WaitReady returns when the boot has finished, the unit that marks the slot
// good has done so where there is one, and the boot loader calls the booted
// slot good where it says anything. An unproven system must not overwrite the
// one that works.
func (r *RAUC) WaitReady(ctx context.Context, seen *System) (System, error) {
	begun := time.Now()
	deadline := begun.Add(r.limits.ready)
	late := fmt.Errorf("%w: waited %v", ErrNotReady, r.limits.ready)
	bounded, cancel := context.WithDeadlineCause(ctx, deadline, late)
	defer cancel()
	err := r.machine.confirmed(bounded)
	if err == nil && seen != nil && time.Since(begun) < SeenFor && seen.good() == nil {
		return *seen, nil
	}
	for err == nil {
		system, why := r.System(ctx)
		if why == nil {
			why = system.good()
		}
		switch {
		case why == nil:
			return system, nil
		case errors.Is(why, ErrDistrusted), errors.Is(why, ErrUnavailable):
			err = why
		case time.Now().After(deadline):
			err = errors.Join(late, why)
		case !sleep(ctx, r.limits.readyPoll):
			err = errors.Join(context.Cause(ctx), why)
		}
	}
	return System{}, fmt.Errorf("wait until the system is confirmed good: %w", err)
}

// good says what speaks against the booted slot.
func (s System) good() error {
	slot, ok := s.BootedSlot()
	if ok && slot.BootStatus != "" && slot.BootStatus != Good {
		return fmt.Errorf("the boot loader calls the booted slot %s %s", slot.Name, slot.BootStatus)
	}
	return nil
}

// sleep waits for d; it is false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
