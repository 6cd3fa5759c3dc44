// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"usbagent/autorun"
	"usbagent/executedlist"
	"usbagent/ledger"
	"usbagent/signature"
)

// work is the one goroutine that has effects: stick after stick, in order of
// arrival. What an earlier run of the agent left running comes first.
func (a *Agent) work(ctx context.Context) {
	a.adopt(ctx)
	close(a.adopted)
	for {
		s := a.next(ctx)
		if s == nil {
			return
		}
		if a.conclude(ctx, s); a.restarting() {
			<-ctx.Done()
		}
	}
}

// conclude works through a stick and remembers its result. Nothing more is to
// be done where the board restarts.
func (a *Agent) conclude(ctx context.Context, s *stick) {
	defer s.drop()
	if a.Config.Report.OnStick {
		s.keyring = a.installedPrints()
	}
	a.effects(ctx, s)
	if ctx.Err() == nil && !a.restarting() {
		a.leaveReceipt(s, false)
		a.occupy(nil, "")
		a.finish(s)
	}
}

func (a *Agent) restarting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rebooting
}

// next returns the stick whose turn it is, or nil when ctx ends.
func (a *Agent) next(ctx context.Context) *stick {
	var grace *time.Timer
	for {
		s, wait := a.choose()
		if s != nil && wait <= 0 {
			return s
		}
		var after <-chan time.Time
		if s != nil {
			grace = time.NewTimer(wait)
			after = grace.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-after:
		}
		if grace != nil {
			grace.Stop()
		}
	}
}

// choose returns the first ready stick, and how long it has to let an earlier
// one, which is still being read, go first.
func (a *Agent) choose() (*stick, time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var wait time.Duration
	for _, s := range a.sticks {
		if s.ready && !s.taken {
			s.taken = wait <= 0
			return s, wait
		}
		if !s.prepared {
			wait = max(wait, ArrivalGrace-time.Since(s.entry.Started))
		}
	}
	return nil, 0
}

// nudge wakes the worker.
func (a *Agent) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// effects takes all steps of one stick: each over all its file systems before
// the next begins.
func (a *Agent) effects(ctx context.Context, s *stick) {
	a.occupy(s, "stick "+s.describe())
	defer a.occupy(nil, "")
	for _, o := range s.offers {
		if a.over(ctx, s) {
			return
		}
		switch o.step {
		case StepKeyring:
			a.keyringStep(s, o)
		case StepAutorun:
			a.scriptStep(ctx, s, o)
		}
		o.drop()
	}
	if !a.over(ctx, s) {
		a.imageStep(ctx, s)
	}
}

// over reports whether nothing more may be started for s.
func (a *Agent) over(ctx context.Context, s *stick) bool {
	if ctx.Err() != nil {
		return true
	}
	if s.ctx.Err() != nil {
		s.log.Info("stick pulled, its further steps are dropped")
		return true
	}
	if a.scripted && a.Machine.ShuttingDown(ctx) { // a script may have asked for it
		s.log.Info("the system is going down, nothing more is started")
		return true
	}
	return false
}

// occupy says what the effects are at, and with which stick; the other sticks
// wait for that.
func (a *Agent) occupy(s *stick, what string) {
	a.mu.Lock()
	a.busy, a.busyWith = what, s
	a.mu.Unlock()
	a.publish()
}

// keyringStep replaces the installed keyring by an offered one (SPEC 2.4).
func (a *Agent) keyringStep(s *stick, o *offer) {
	installed, missing := a.store.Installed()
	rotation, step := a.rules.decideKeyring(o, installed, missing)
	if rotation == nil {
		a.report(s, step, failure(step, CodeKeyring))
		return
	}
	a.accepted(s, rotation.verified)
	change, err := a.store.Install(rotation.verified, rotation.keyring)
	if err != nil {
		a.report(s, o.result(Failed, "%v", err), CodeKeyring)
		return
	}
	a.record(a.Ledger.KeyringChanged(ledger.Keyring{
		Time: time.Now(), Action: "rotate", Stick: s.describe(),
		Before: texts(change.Before), After: texts(change.After),
		Signer: rotation.verified.Signer().Fingerprint.String(),
	}))
	a.report(s, step, failure(step, CodeKeyring))
}

// accepted logs who vouched for a file and what its bytes were.
func (a *Agent) accepted(s *stick, v *signature.Verified) {
	sum := v.SHA256()
	s.log.Info("signature is good", zap.String("file", v.Name()), zap.String("signer", Show(v.Signer().Subject)),
		zap.Stringer("fingerprint", v.Signer().Fingerprint), zap.String("sha256", hex.EncodeToString(sum[:])))
}

// scriptStep runs an offered script unless it ran before (SPEC 2.5).
func (a *Agent) scriptStep(ctx context.Context, s *stick, o *offer) {
	var executed bool
	if o.content != nil {
		var err error
		if executed, err = a.list.Contains(o.content.MD5()); err != nil {
			a.report(s, o.result(Refused, "whether it ran before cannot be known: %v", err), CodeScript)
			return
		}
	}
	if executed && !a.rules.ScriptOff {
		if step, code, ok := a.before(s, o); ok {
			a.report(s, step, code)
			return
		}
	}
	installed, missing := a.store.Installed()
	verified, step := a.rules.decideScript(o, executed, installed, missing)
	if verified == nil {
		a.report(s, step, failure(step, CodeScript))
		return
	}
	a.accepted(s, verified)
	if s.atBoot && !a.bootFinished(ctx, s, "the script starts") {
		return
	}
	step, code := a.execute(ctx, s, o, verified)
	a.report(s, step, code)
}

// note makes the start of a script durable before it happens: first in the
// history, so that a start whose end nobody saw is known as one, then in the
// list, without which it is not started.
func (a *Agent) note(s *stick, o *offer, v *signature.Verified) (id string, err error) {
	id = scriptID(s, v)
	md5, sha256 := v.MD5(), v.SHA256()
	a.record(a.Ledger.ScriptStarted(ledger.Script{
		ID: id, MD5: hex.EncodeToString(md5[:]), SHA256: hex.EncodeToString(sha256[:]),
		Stick: s.describe(), Device: o.volume.device, BootID: a.BootID, DiskSeq: s.disk.DiskSeq, Started: time.Now(),
	}))
	err = a.list.Append(md5)
	if err == nil {
		return id, nil
	}
	a.record(a.Ledger.ScriptEnded(id, 0, neverStarted))
	if errors.Is(err, executedlist.ErrVolatile) {
		err = fmt.Errorf("%w (autorun.allow_volatile_list = true would allow it)", err)
	}
	return "", fmt.Errorf("not run, since it could not be noted as executed: %w", err)
}

// neverStarted stands in the history for a script that was not started after all.
const neverStarted = "never started"

// before tells the fate of a script that is in the list of executed ones,
// where it was not a good end: its end was never recorded, or it ended during
// this very insertion while no agent was there to say so.
func (a *Agent) before(s *stick, o *offer) (ledger.Step, int, bool) {
	sum := o.content.MD5()
	if a.Ledger == nil {
		return ledger.Step{}, 0, false
	}
	record, ok := a.Ledger.ScriptByMD5(hex.EncodeToString(sum[:]))
	switch {
	case !ok:
		return ledger.Step{}, 0, false
	case !record.Finished:
		return o.result(Failed, "started earlier (%s), end not recorded; it is not run again",
			record.Started.UTC().Format(time.RFC3339)), CodeStatus, true
	case record.BootID == a.BootID && record.DiskSeq == s.disk.DiskSeq && s.disk.DiskSeq != 0 && record.Signal != neverStarted:
		exit := autorun.Exit{Status: record.Status, Signal: record.Signal}
		step, code := ended(o, exit)
		return step, code, true
	}
	return ledger.Step{}, 0, false
}

// execute starts the script and waits for its end.
func (a *Agent) execute(ctx context.Context, s *stick, o *offer, v *signature.Verified) (ledger.Step, int) {
	id, err := a.note(s, o, v)
	if err != nil {
		return o.result(Refused, "%v", err), CodeScript
	}
	a.occupy(s, "the script of "+s.describe())
	a.mark(s)
	defer a.mark(nil)
	root, _ := o.volume.directory.(handle)
	// It is in the list now: a stopping agent must still start it.
	start, cancel := context.WithTimeout(context.WithoutCancel(ctx), StartTimeout)
	defer cancel()
	run, err := a.Scripts.Start(start, autorun.Request{
		ID: id, Script: v, Name: o.stored, Target: o.volume.target, Root: root.dir,
		Timeout: a.Config.Autorun.Timeout,
	})
	if err != nil {
		return o.result(Failed, "not started: %v", err), CodeScript
	}
	a.scripted = true
	s.log.Info("script started", zap.String("file", ScriptName), zap.String("id", id))
	o.drop() // the runner has its own copy
	debug.FreeOSMemory()
	exit, err := run.Wait(ctx)
	if err != nil {
		if ctx.Err() != nil {
			a.leave(s)
			return o.result(Done, "still running while the agent stops; it goes on to its end"), 0
		}
		return o.result(Failed, "how it ended is unknown: %v", err), CodeStatus
	}
	a.ended(id, exit)
	a.keepOutput(ctx, s, o, run)
	if err := run.Release(); err != nil {
		s.log.Warn("script's unit could not be cleaned up", zap.Error(err))
	}
	return ended(o, exit)
}

// ended records the end of a script, unless how it ended is unknown.
func (a *Agent) ended(id string, exit autorun.Exit) {
	if !exit.Unknown {
		a.record(a.Ledger.ScriptEnded(id, exit.Status, exit.Signal))
	}
}

// ended says how a script ended.
func ended(o *offer, exit autorun.Exit) (ledger.Step, int) {
	switch {
	case exit.Unknown:
		return o.result(Failed, "how it ended is unknown"), CodeStatus
	case exit.TimedOut:
		return o.result(Failed, "ended by the time limit (autorun.timeout)"), CodeStatus
	case exit.Signal != "":
		return o.result(Failed, "ended by signal %s", exit.Signal), CodeStatus
	case exit.Status != 0:
		return o.result(Failed, "ended with exit status %d", exit.Status), CodeStatus
	}
	return o.result(Done, "ended with exit status 0"), 0
}

// scriptID names one execution, uniquely within a boot.
func scriptID(s *stick, v *signature.Verified) string {
	sum := v.MD5()
	return fmt.Sprintf("%x-%d-%d", sum[:6], s.disk.DiskSeq, time.Now().UnixNano())
}

// bootFinished waits, for a stick that was there at boot, until the boot has
// finished. It returns false where the agent is stopped meanwhile.
func (a *Agent) bootFinished(ctx context.Context, s *stick, what string) bool {
	wait, cancel := context.WithTimeout(ctx, BootWait)
	defer cancel()
	a.change(s, func() { s.entry.Waiting = "waits until the boot has finished" })
	err := a.Machine.BootFinished(wait)
	a.change(s, func() { s.entry.Waiting = "" })
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		s.log.Warn("the boot does not finish, the work goes on all the same", zap.String("what", what), zap.Duration("waited", BootWait), zap.Error(err))
	}
	return true
}

// adopt waits for the script that an earlier run of the agent started.
func (a *Agent) adopt(ctx context.Context) {
	run, err := a.Scripts.Adopt(ctx)
	if err != nil {
		a.Log.Error("whether a script of an earlier run still runs cannot be known", zap.Error(err))
		return
	}
	if run != nil {
		a.Log.Info("script of an earlier run taken over", zap.String("id", run.ID()))
		a.occupy(nil, "a script that an earlier run of the agent started")
		exit, err := run.Wait(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.Log.Error("how the script of an earlier run ended is unknown", zap.Error(err))
		} else {
			a.ended(run.ID(), exit)
			a.Log.Info("script of an earlier run ended", zap.Int("status", exit.Status), zap.String("signal", exit.Signal))
		}
		if err := run.Release(); err != nil {
			a.Log.Warn("script's unit could not be cleaned up", zap.Error(err))
		}
		a.occupy(nil, "")
	}
	a.adoptImage(ctx)
}

// mark remembers whose script runs: its mount is not undone when the agent stops.
func (a *Agent) mark(s *stick) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s == nil && a.leaving {
		return
	}
	a.running = s
}

// leave keeps the mark while the agent stops.
func (a *Agent) leave(*stick) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leaving = true
}
