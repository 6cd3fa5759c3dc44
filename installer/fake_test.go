// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"usbagent/test/need"
	"usbagent/test/raucbench"
)

// digest is that of the image in the bundles of these tests.
var digest = strings.Repeat("ab", 32)

// fakeInfo is such a bundle.
var fakeInfo = Info{Compatible: raucbench.Compatible, Version: "2", Format: Plain,
	Images: []Image{{Class: "rootfs", Filename: "rootfs.img", SHA256: digest}}}

// newFake starts a bus with a fake service, and returns a backend with short limits.
func newFake(t *testing.T) (*raucbench.Bus, *raucbench.Fake, *RAUC) {
	t.Helper()
	t.Parallel() // they mostly wait
	need.Root(t)
	need.RAUC(t)
	bus, err := raucbench.StartBus("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Stop)
	conn, err := bus.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fake, err := raucbench.NewFake(conn)
	if err != nil {
		t.Fatal(err)
	}
	return bus, fake, shortened(bus)
}

// shortened returns a backend whose limits are a test's.
func shortened(bus *raucbench.Bus) *RAUC {
	r := NewRAUC(RAUCOptions{BusAddress: bus.Address, SystemConf: "/nonexistent"})
	r.limits = limits{
		stall: 2 * time.Second, total: 20 * time.Second, probe: 400 * time.Millisecond, progress: time.Millisecond,
		busy: time.Second, busyPoll: 50 * time.Millisecond, ready: time.Second, readyPoll: 50 * time.Millisecond,
		tool: 5 * time.Second, connect: 5 * time.Second, call: 5 * time.Second,
	}
	return r
}

// soon bounds a test that would hang.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// installed asserts that the job ended with a confirmed installation.
func installed(t *testing.T, r *RAUC) {
	t.Helper()
	result, err := Run(soon(t), r, Job{Path: "/stick/x.image", Info: fakeInfo})
	if err != nil || result.Decision.Action != Install || len(result.Slots) != 1 {
		t.Errorf("Run = %+v, %v; want an installation", result, err)
	}
}

// refused asserts that the job ended with an error that wraps every one of want.
func refused(t *testing.T, r *RAUC, want ...error) {
	t.Helper()
	result, err := Run(soon(t), r, Job{Path: "/stick/x.image", Info: fakeInfo})
	if err == nil || len(result.Slots) != 0 {
		t.Errorf("Run = %+v, %v; want an error", result, err)
	}
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("Run = %v; want %v", err, w)
		}
	}
}
