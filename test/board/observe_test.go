// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Bounds for waiting; a loaded machine needs a fraction of them.
const (
	atOnce = 2 * time.Minute
	soon   = 8 * time.Minute
	later  = 16 * time.Minute
	reboot = BootTimeout
)

// await waits until ok says so. What asks the board costs the board's own time,
// so it is asked again after three times as long as the answer took.
func (r *rig) await(what string, bound time.Duration, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(bound)
	for {
		asked := time.Now()
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %s: %s", bound, what)
		}
		time.Sleep(min(max(awaitEvery, 3*time.Since(asked)), awaitMost))
	}
}

// The time between two looks: at what is seen from outside, and at most.
const (
	awaitEvery = 50 * time.Millisecond
	awaitMost  = 2 * time.Second
)

// clean waits until nothing of any stick is left: no LED, mount or directory.
func (r *rig) clean() {
	r.t.Helper()
	r.await("LED off after the pull", soon, func() bool {
		return r.fw.ledRegister == 0 || !r.LED.On() && r.LED.Steady() > 2*time.Second
	})
	r.await("no mount left", soon, func() bool { return !strings.Contains(r.file("/proc/self/mountinfo"), " /media/") })
	names := ""
	defer func() {
		if r.t.Failed() {
			r.t.Logf("in /media: %s", names)
		}
	}()
	r.await("no directory left in /media", soon, func() (ok bool) {
		var err error
		names, err = r.List(context.Background(), "/media")
		return err == nil && names == "[]"
	})
}

// Status is the part of status.json that tests look at.
type Status struct {
	State  string        `json:"state"`
	Busy   string        `json:"busy"`
	PID    int           `json:"pid"`
	Sticks []StickResult `json:"sticks"`
}

// StickResult is one stick in it.
type StickResult struct {
	Device, Label, Filesystem, Mountpoint string
	Started, Finished                     time.Time
	DiskSeq                               uint64 `json:"diskseq"`
	Result                                string
	Code                                  int
	Waiting                               string
	Present                               bool
	Steps                                 []Step
}

// Step is one of its steps.
type Step struct{ Step, Device, File, Result, Reason string }

func (s StickResult) String() string {
	text, _ := json.Marshal(s)
	return string(text)
}

// status reads status.json; the zero value where there is none.
func (r *rig) status() Status {
	var s Status
	json.Unmarshal([]byte(r.file("/run/usbagent/status.json")), &s)
	return s
}

// up waits until systemd has an agent running that is another process than
// before, and status.json is that one's.
func (r *rig) up(before int) {
	r.t.Helper()
	r.await("a new agent", soon*2, func() bool {
		pid := r.status().PID
		unit := r.sh("systemctl show usbagent -p ActiveState -p MainPID") + "\n"
		return pid != before && strings.Contains(unit, "ActiveState=active\n") && strings.Contains(unit, fmt.Sprintf("MainPID=%d\n", pid))
	})
}

// finished waits until every stick that is in is done with, and returns the
// newest.
func (r *rig) finished(bound time.Duration) StickResult {
	r.t.Helper()
	var last StickResult
	r.await("every stick finished", bound, func() bool {
		in := 0
		for _, s := range r.status().Sticks {
			if !s.Present {
				continue
			}
			if s.Finished.IsZero() {
				return false
			}
			in, last = in+1, s
		}
		return in > 0
	})
	return last
}

// through plugs a stick and sees it through: the LED goes on, status.json holds
// the steps that are wanted, the journal tells of each and of the end, and the
// LED then shows what the result is, and off for a good one.
func (r *rig) through(s *Stick, want ...string) StickResult {
	r.t.Helper()
	since := r.ConsoleSize()
	return r.seen(since, r.plug(s), want...)
}

// seen sees a stick through that was plugged at that time.
func (r *rig) seen(since int64, plugged time.Time, want ...string) StickResult {
	r.t.Helper()
	r.lit(plugged)
	done := r.finished(later)
	r.expect(done, want...)
	r.told(since, done)
	r.shown(done)
	return done
}

// told waits until the journal has what status.json says about a stick.
func (r *rig) told(since int64, s StickResult) {
	r.t.Helper()
	r.journal(since, "stick found device="+s.Device+" ", soon)
	for _, step := range s.Steps {
		r.journal(since, "step "+step.Result+" device="+s.Device+" step="+step.Step+" ", soon)
	}
	r.journal(since, "stick finished, it may be pulled device="+s.Device+" ", soon)
}

// shown waits until LED and state are those of a board whose newest stick
// ended like that.
func (r *rig) shown(s StickResult) {
	r.t.Helper()
	state := map[bool]string{true: "idle", false: "failed"}[s.Code == 0]
	r.await("state "+state+" in status.json", soon, func() bool { return r.status().State == state })
	switch {
	case r.fw.ledRegister == 0:
		r.await("LED off", soon, func() bool { return s.Code != 0 || r.light() == "0" })
	case s.Code == 0:
		r.await("LED off after a good end", soon, func() bool { return !r.LED.On() && r.LED.Steady() > 2*time.Second })
	default:
		r.code(s.Code)
	}
}

// expect checks the results of a stick's steps: "keyring done", "image
// refused", in order.
func (r *rig) expect(s StickResult, want ...string) {
	r.t.Helper()
	var got []string
	for _, step := range s.Steps {
		got = append(got, step.Step+" "+step.Result)
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		r.t.Errorf("steps %q, want %q: %s", got, want, s)
	}
}

// journal waits for a line on the console, where all of the journal goes.
func (r *rig) journal(since int64, line string, bound time.Duration) {
	r.t.Helper()
	r.await("journal line "+line, bound, func() bool { return strings.Contains(r.journalText(since), line) })
}

// journalText is the journal from offset since on; all there is on a machine
// without one.
func (r *rig) journalText(since int64) string {
	if r.fw.bootLoader {
		return r.Console(since)
	}
	return r.file("/run/agent.log")
}

// lit checks that the LED went on within a time after the plug that a
// technician sees as at once; the kernel needs 1.2 s of it, the machine is
// slow and shared.
func (r *rig) lit(plugged time.Time) {
	r.t.Helper()
	if r.fw.ledRegister == 0 {
		return // its LED is too fast for what can be asked of the guest
	}
	var at time.Time
	r.await("LED on", atOnce, func() (ok bool) { at, ok = r.LED.FirstOn(plugged); return ok })
	r.t.Logf("LED on %.2f s after the plug", at.Sub(plugged).Seconds())
}

// code waits until the LED flashes n times, in a group that begins and ends now.
func (r *rig) code(n int) {
	r.t.Helper()
	since := time.Now()
	r.await(fmt.Sprintf("LED code %d", n), soon, func() bool { return r.LED.Code(since) == n })
}
