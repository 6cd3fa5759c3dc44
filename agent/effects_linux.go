// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"encoding/hex"
	"runtime/debug"
	"time"

	"usbagent/internal/logs"
	"usbagent/ledger"
	"usbagent/signature"
)

// How far the heap may grow between two rounds of the garbage collector
// (runtime/debug.SetGCPercent), which starts at 4 MB for 100.
const (
	// IdleGCPercent is for a daemon that nobody waits for: it keeps little, and
	// the events of other devices leave nothing but garbage.
	IdleGCPercent = 25

	// stickGCPercent is for the work on a stick: one round takes 8 ms of a board.
	stickGCPercent = 100
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
		select {
		case a.concluded <- struct{}{}:
		default:
		}
	}
}

// prepareNext has what the next stick may need prepared: once the boot has
// finished, which has other things to do, and anew after each stick.
func (a *Agent) prepareNext(ctx context.Context) {
	select {
	case <-a.adopted:
	case <-ctx.Done():
		return
	}
	boot, cancel := context.WithTimeout(ctx, BootWait)
	_ = a.Machine.BootFinished(boot) // one that does not end is told where it matters
	cancel()
	for ctx.Err() == nil {
		if !a.rules.ScriptOff {
			if err := a.Scripts.Prepare(ctx); err != nil && ctx.Err() == nil {
				a.Log.Warn("a unit for the next script could not be prepared", logs.Error(err))
			}
		}
		a.Images.Prepare(ctx)
		select {
		case <-a.concluded:
		case <-ctx.Done():
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
	a.awaitReleased()
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
		s, wait, over := a.choose()
		if s != nil && wait <= 0 {
			return s
		}
		if over { // the next stick may be months away
			debug.SetGCPercent(IdleGCPercent)
			debug.FreeOSMemory()
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
// one, which is still being read, go first. Where there is none, over says that
// sticks were worked on and none is any more.
func (a *Agent) choose() (s *stick, wait time.Duration, over bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	over = a.inserted
	for _, s := range a.sticks {
		if s.ready && !s.taken {
			s.taken = wait <= 0
			return s, wait, false
		}
		if !s.prepared {
			over = false
			wait = max(wait, ArrivalGrace-time.Since(s.entry.Started))
		}
	}
	if over {
		a.inserted = false
	}
	return nil, 0, over
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
	defer s.unwritten.write()
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
	if !a.dropped(ctx, s) {
		time.AfterFunc(writeAfter, s.unwritten.write)
		a.imageStep(ctx, s)
	}
}

// writeAfter is how long records that are no hurry wait for an image, which may
// take minutes, to be handed over.
const writeAfter = time.Second

// dropped reports whether the agent stops or s was pulled.
func (a *Agent) dropped(ctx context.Context, s *stick) bool {
	if ctx.Err() != nil {
		return true
	}
	if s.ctx.Err() != nil {
		s.log.Info("stick pulled, its further steps are dropped")
		return true
	}
	return false
}

// over reports whether nothing more may be started for s.
func (a *Agent) over(ctx context.Context, s *stick) bool {
	if a.dropped(ctx, s) {
		return true
	}
	if a.goingDown(ctx, s) {
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

// keyringStep replaces the installed keyring by an offered one.
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
	entry := ledger.Keyring{
		Time: time.Now(), Action: "rotate", Stick: s.describe(),
		Before: texts(change.Before), After: texts(change.After),
		Signer: rotation.verified.Signer().Fingerprint.String(),
	}
	s.unwritten.add(func() { a.record(a.Ledger.KeyringChanged(entry)) })
	a.report(s, step, failure(step, CodeKeyring))
}

// accepted logs who vouched for a file and what its bytes were.
func (a *Agent) accepted(s *stick, v *signature.Verified) {
	sum := v.SHA256()
	s.log.Info("signature is good", logs.String("file", v.Name()), logs.String("signer", Show(v.Signer().Subject)),
		logs.Stringer("fingerprint", v.Signer().Fingerprint), logs.String("sha256", hex.EncodeToString(sum[:])))
}

// bootFinished waits, for a stick that was there at boot, until the boot has
// finished or the stick is pulled. It returns false where the agent is stopped
// meanwhile.
func (a *Agent) bootFinished(ctx context.Context, s *stick, what string) bool {
	wait, pulled := s.within(ctx)
	defer pulled()
	wait, cancel := context.WithTimeout(wait, BootWait)
	defer cancel()
	a.change(s, func() { s.entry.Waiting = "waits until the boot has finished" })
	err := a.Machine.BootFinished(wait)
	a.change(s, func() { s.entry.Waiting = "" })
	if ctx.Err() != nil {
		return false
	}
	if err != nil && s.ctx.Err() == nil {
		s.log.Warn("the boot does not finish, the work goes on all the same", logs.String("what", what), logs.Stringer("waited", BootWait), logs.Error(err))
	}
	return true
}

// adopt waits for the script that an earlier run of the agent started.
func (a *Agent) adopt(ctx context.Context) {
	run, err := a.Scripts.Adopt(ctx)
	if err != nil {
		a.Log.Error("whether a script of an earlier run still runs cannot be known", logs.Error(err))
		return
	}
	if run != nil {
		a.Log.Info("script of an earlier run taken over", logs.String("id", run.ID()), logs.String("unit", run.Unit()))
		a.occupy(nil, "a script that an earlier run of the agent started")
		exit, err := run.Wait(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.Log.Error("how the script of an earlier run ended is unknown", logs.Error(err))
		} else {
			a.ended(run.ID(), exit)
			a.Log.Info("script of an earlier run ended", logs.Int("status", exit.Status), logs.String("signal", exit.Signal))
		}
		a.release(a.Log, run)
		a.awaitReleased()
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
