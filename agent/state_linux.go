// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"strings"
	"time"

	"usbagent/internal/logs"
	"usbagent/led"
	"usbagent/ledger"
)

// MaxSteps is the number of steps kept of one stick; more are only logged.
const MaxSteps = 256

// Pulled is the result of a stick that was pulled before its turn.
const Pulled = "pulled"

// change alters what is known of a stick and shows it.
func (a *Agent) change(s *stick, alter func()) {
	a.mu.Lock()
	alter()
	a.mu.Unlock()
	a.publish()
}

// report logs the result of one step and keeps it. A code other than 0 becomes
// the stick's failure code, unless it has one: the first failure counts.
func (a *Agent) report(s *stick, step ledger.Step, code int) {
	step.Reason = tame(step.Reason)
	bad := step.Result == Refused || step.Result == Failed
	fields := []logs.Field{logs.String("step", step.Step), logs.String("result", step.Result),
		logs.String("partition", step.Device), logs.String("file", step.File), logs.String("reason", step.Reason)}
	if bad || code != 0 {
		s.log.Warn("step "+step.Result, append(fields, logs.Int("code", code))...)
	} else {
		s.log.Info("step "+step.Result, fields...)
	}
	a.change(s, func() {
		if len(s.entry.Steps) < MaxSteps {
			s.entry.Steps = append(s.entry.Steps, step)
		}
		if s.entry.Code == 0 {
			s.entry.Code = code
		}
	})
}

// finish ends the work on a stick: its result is remembered and the LED shows
// it. Nothing is finished while the system is about to restart.
func (a *Agent) finish(s *stick) {
	defer s.unhold()
	a.mu.Lock()
	s.entry.Finished, s.entry.Waiting = time.Now(), ""
	switch {
	case s.entry.Code != 0:
		s.entry.Result = Failed
	case s.gone && !s.taken:
		s.entry.Result = Pulled
	default:
		s.entry.Result = Done
	}
	s.light.Working, s.light.Installing, s.light.Code = false, false, s.entry.Code
	entry, ending := s.entry, "stick finished, it may be pulled"
	if s.gone {
		ending = "stick finished, it had been pulled"
	}
	a.mu.Unlock()
	a.record(a.Ledger.PutStick(entry))
	a.publish()
	s.log.Info(ending, logs.String("result", entry.Result), logs.Int("code", entry.Code))
}

// record reports what could not be written into the state directory: that
// loses history, never safety.
func (a *Agent) record(err error) {
	if err != nil {
		a.Log.Error("the state directory did not take a record", logs.Error(err))
	}
}

// publish shows the state on the LED, at once, and in status.json.
func (a *Agent) publish() {
	a.mu.Lock()
	lights := make([]led.Stick, len(a.sticks))
	for i, s := range a.sticks {
		lights[i] = s.light
	}
	pattern := led.Choose(lights, a.Config.LED.ErrorCodes)
	if a.rebooting {
		pattern = led.Pattern{Kind: led.On}
	}
	a.Light.Show(pattern)
	a.mu.Unlock()
	a.status.poke(a.snapshot)
}

// snapshot is what status.json says now.
func (a *Agent) snapshot() Status {
	past := a.Ledger.Sticks()
	a.mu.Lock()
	defer a.mu.Unlock()
	st := Status{State: "idle", Version: a.Version, Running: !a.left, Busy: a.busy}
	for _, p := range a.Problems {
		st.ConfigError += p.String() + "\n"
	}
	st.ConfigError = strings.TrimSuffix(st.ConfigError, "\n")
	st.Progress = a.progress
	present := make(map[string]bool)
	var now []StickStatus
	for _, s := range a.sticks {
		present[key(s.entry)] = true
		entry := s.entry
		if a.busy != "" && s != a.busyWith && !s.taken && entry.Finished.IsZero() {
			entry.Waiting = "waits for " + a.busy
		}
		now = append(now, StickStatus{Stick: entry, Present: true})
		st.State = worse(st.State, s)
	}
	for _, p := range past {
		if !present[key(p)] {
			st.Sticks = append(st.Sticks, StickStatus{Stick: p})
		}
	}
	st.Sticks = append(st.Sticks, now...)
	return st
}

// worse ranks idle < failed < processing < installing.
func worse(state string, s *stick) string {
	switch {
	case s.light.Installing || state == "installing":
		return "installing"
	case s.light.Working || s.light.Rebooting || state == "processing":
		return "processing"
	case s.light.Code != 0 || state == "failed":
		return "failed"
	}
	return state
}
