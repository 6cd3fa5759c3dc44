// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"context"
	"errors"
	"testing"
	"time"

	"usbagent/internal/systembus"
	"usbagent/test/need"
	"usbagent/test/raucbench"
)

// TestSystemdThatIsSilent: systemd has its name on the bus and never answers
// again, as one that has frozen. Each question is given up.
func TestSystemdThatIsSilent(t *testing.T) {
	t.Parallel() // it waits
	need.Tool(t, "dbus-daemon")
	bus, err := raucbench.StartBus("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Stop)
	frozen, err := systembus.Dial(t.Context(), bus.Address, systembus.Options{}) // it answers nobody
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { frozen.Close() })
	var owner uint32
	request := &systembus.Call{Object: systembus.Bus, Method: "org.freedesktop.DBus.RequestName", Args: []any{systemdName, uint32(4)}}
	if err := frozen.Call(t.Context(), request, &owner); err != nil || owner != 1 {
		t.Fatalf("the name is not ours: %d, %v", owner, err)
	}
	s := &systemd{addresses: []string{bus.Address}}
	for name, ask := range map[string]func(context.Context) error{
		"find": func(ctx context.Context) error { _, err := s.find(ctx); return err },
		"look": func(ctx context.Context) error { _, err := s.look(ctx, unitName("some")); return err },
		"stop": func(context.Context) error { return s.stop(unitName("some")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := map[bool]time.Duration{true: stopPatience, false: answerPatience}[name == "stop"]
			began := time.Now()
			if err := ask(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
			if took := time.Since(began); took < want {
				t.Errorf("given up after %v, not after %v", took, want)
			}
		})
	}
}
