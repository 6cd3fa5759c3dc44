// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"usbagent/internal/systembus"
)

// endless is a backend whose system is never confirmed good.
type endless struct{ None }

func (endless) WaitReady(ctx context.Context, _ *System) (System, error) {
	<-ctx.Done()
	return System{}, context.Cause(ctx)
}

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
type hanging struct{}

func (hanging) Call(ctx context.Context, _ *systembus.Call, _ ...any) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestMaxResults: of a flood of Completed the newest stay.
func TestMaxResults(t *testing.T) {
	w := newWatch()
	w.pin(":1.1")
	for n := range int32(maxResults + 1) {
		w.deliver(&systembus.Signal{Sender: ":1.1", Path: raucPath, Name: raucInterface + ".Completed", Body: []any{n}})
	}
	if got := w.take().results; len(got) != maxResults || got[0] != 1 || got[maxResults-1] != maxResults {
		t.Errorf("%d results: %v", len(got), got)
	}
}

// TestBootPoll: a system bus that nobody answers at is asked once in BootPoll.
func TestBootPoll(t *testing.T) {
	dir := t.TempDir()
	bus, err := net.Listen("unix", dir+"/bus")
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	asked := make(chan int)
	go func() {
		n := 0
		for conn, err := bus.Accept(); err == nil; conn, err = bus.Accept() {
			conn.Close()
			n++
		}
		asked <- n
	}()
	const polls = 5
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), polls*BootPoll-1)
		defer cancel()
		if err := NewMachine(MachineOptions{BusAddress: "unix:path=" + dir + "/bus"}).BootFinished(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want none before the deadline", err)
		}
	})
	bus.Close()
	if n := <-asked; n != polls {
		t.Errorf("asked %d times, want %d", n, polls)
	}
}

// TestLimitsOfANewRAUC: the named times are those that count, where no test
// made them shorter.
func TestLimitsOfANewRAUC(t *testing.T) {
	want := limits{
		stall: InstallStall, total: InstallTimeout, probe: IdleProbe, progress: ProgressInterval,
		busy: BusyTimeout, busyPoll: BusyPoll, ready: ReadyTimeout, readyPoll: ReadyPoll, tool: ToolTimeout,
		connect: ConnectTimeout, call: CallTimeout,
	}
	if got := NewRAUC(RAUCOptions{}).limits; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// asked is a backend that counts how often it is asked.
type asked struct {
	None
	times int
}

func (a *asked) WaitReady(context.Context, *System) (System, error) {
	a.times++
	return System{}, nil
}

// TestSeenFor: an answer about the slots counts for a while, and not longer.
func TestSeenFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, seen := &asked{}, time.Now()
		time.Sleep(SeenFor - 1)
		Run(t.Context(), b, Job{Seen: Seen{At: seen}})
		if b.times != 0 {
			t.Error("asked again, though it was just said")
		}
		time.Sleep(time.Nanosecond)
		Run(t.Context(), b, Job{Seen: Seen{At: seen}})
		Run(t.Context(), b, Job{})
		if b.times != 2 {
			t.Errorf("asked %d times, though it was not said or long ago", b.times)
		}
	})
}
