// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
)

// endless is a backend whose system is never confirmed good.
type endless struct{ None }

func (endless) WaitReady(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }

func TestRunTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		_, err := Run(t.Context(), endless{}, Job{})
		if !errors.Is(err, ErrStalled) || time.Since(begun) != RunTimeout {
			t.Errorf("Run = %v after %v, want ErrStalled after %v", err, time.Since(begun), RunTimeout)
		}
	})
}

func TestMaxSlots(t *testing.T) {
	_, fake, r := newFake(t)
	for i := 2; i < MaxSlots; i++ {
		fake.SetSlot(fmt.Sprintf("data.%d", i), "class", "data")
	}
	if s, err := r.System(soon(t)); err != nil || len(s.Slots) != MaxSlots {
		t.Errorf("%d slots, %v", len(s.Slots), err)
	}
	fake.SetSlot("data.0", "class", "data")
	if _, err := r.System(soon(t)); err == nil || !strings.Contains(err.Error(), "257 slots are more than 256") {
		t.Errorf("one more: %v", err)
	}
}

func TestRebootTimeout(t *testing.T) {
	t.Parallel() // it waits
	begun := time.Now()
	err := NewMachine(MachineOptions{}).rebootBy(t.Context(), []string{"sleep", "1000"})
	if took := time.Since(begun); err == nil || took < RebootTimeout || took > RebootTimeout+20*time.Second {
		t.Errorf("%v after %v, want an error after %v", err, took, RebootTimeout)
	}
}

// TestActivationTimeout: the bus is asked to start a service and never answers.
func TestActivationTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		err := activate(t.Context(), hanging{}, raucName)
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took != ActivationTimeout {
			t.Errorf("%v after %v, want it after %v", err, took, ActivationTimeout)
		}
	})
}

// hanging is the bus itself, which never answers.
type hanging struct{ dbus.BusObject }

func (hanging) CallWithContext(ctx context.Context, _ string, _ dbus.Flags, _ ...any) *dbus.Call {
	<-ctx.Done()
	return &dbus.Call{Err: ctx.Err()}
}
