// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"usbagent/internal/systembus"
)

// slowStart is a bus that gives up waiting for a service, at first.
type slowStart struct{ asked, late int }

func (s *slowStart) Call(context.Context, *systembus.Call, ...any) error {
	if s.asked++; s.asked <= s.late {
		time.Sleep(25 * time.Second)
		return systembus.Error{Name: "org.freedesktop.DBus.Error.TimedOut", Message: "timed out"}
	}
	return nil
}

// TestSlowActivation: a service that starts for longer than the bus waits is waited
// for, but not for longer than ActivationTimeout.
func TestSlowActivation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := activate(t.Context(), &slowStart{late: 2}, "a.b"); err != nil {
			t.Errorf("started at the third time of asking: %v", err)
		}
		begun, bus := time.Now(), &slowStart{late: 1000}
		if err := activate(t.Context(), bus, "a.b"); !errors.Is(err, errNoOwner) || time.Since(begun) > ActivationTimeout+30*time.Second {
			t.Errorf("never started: %v after %v, asked %d times", err, time.Since(begun), bus.asked)
		}
	})
}
