// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"usbagent/autorun"
	"usbagent/executedlist"
	"usbagent/internal/logs"
	"usbagent/ledger"
)

// scriptStep runs an offered script unless it ran before.
func (a *Agent) scriptStep(ctx context.Context, s *stick, o *offer) {
	var executed bool
	if o.content != nil {
		var err error
		if executed, err = a.list.Contains(o.content.MD5()); err != nil {
			a.report(s, o.result(Refused, "whether it ran before cannot be known: %v", err), CodeScript)
			return
		}
	}
	always := o.said.Run == autorun.RunAlways
	if executed && !always && !a.rules.ScriptOff {
		if step, code, ok := a.before(s, o); ok {
			a.report(s, step, code)
			return
		}
	}
	installed, missing := a.store.Installed()
	script, step := a.rules.decideScript(o, executed, installed, missing)
	if script == nil {
		a.report(s, step, failure(step, CodeScript))
		return
	}
	a.accepted(s, script.Verified)
	if always {
		if step, code, ok := a.thisTime(s, o); ok {
			a.report(s, step, code)
			return
		}
	}
	if s.atBoot && !a.bootFinished(ctx, s, "the script starts") {
		return
	}
	payload, err := a.stagePayload(ctx, s, o, script.said.Files)
	defer func() { payload.Close() }() // nil after an error, which is nothing to close
	switch {
	case ctx.Err() != nil: // the next agent begins anew with the stick
	case s.ctx.Err() != nil:
		a.report(s, o.result(Skipped, "the stick was pulled before the script started"), 0)
	case err != nil:
		a.report(s, o.result(Refused, "%v", err), CodeScript)
	default:
		step, code := a.execute(ctx, s, o, script, executed, payload)
		a.report(s, step, code)
	}
}

// stagePayload makes the verified copies of the files that the script of o
// vouches for. What it returns is closed by the caller, after an error too.
func (a *Agent) stagePayload(ctx context.Context, s *stick, o *offer, files []autorun.File) (*autorun.Payload, error) {
	if len(files) == 0 {
		return nil, nil
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	p, err := autorun.NewPayload(a.RunDir, a.stagingDir(), files)
	if err != nil {
		return nil, err
	}
	defer a.showProgress(-1, "")
	for _, f := range files {
		s.log.Info("file of the script is copied", logs.String("file", Show(f.Path)), logs.String("size", Bytes(f.Size)))
		p.Progress = func(done, size int64) { a.showProgress(int(done*100/size), "copying "+Show(f.Path)) }
		if err := a.stageFile(ctx, o.volume, p, f); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (a *Agent) stageFile(ctx context.Context, v *volume, p *autorun.Payload, f autorun.File) error {
	source, executable, err := v.openVouched(ctx, f)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := p.Add(ctx, f, source, executable); err != nil {
		return payloadError(f, err)
	}
	return nil
}

// note makes the start of a script durable before it happens: first in the
// history, so that a start whose end nobody saw is known as one, then in the
// list, without which it is not started. For a script that runs again and
// again the history alone keeps it from running twice in one insertion.
func (a *Agent) note(s *stick, o *offer, v *approved, executed bool) (id string, err error) {
	id = scriptID(s, v)
	md5, sha256 := v.MD5(), v.SHA256()
	err = a.Ledger.ScriptStarted(ledger.Script{
		ID: id, MD5: hex.EncodeToString(md5[:]), SHA256: hex.EncodeToString(sha256[:]),
		Stick: s.describe(), Device: o.volume.device, BootID: a.BootID, DiskSeq: s.disk.DiskSeq, Started: time.Now(),
	})
	a.record(err)
	if v.always() && err != nil {
		return "", fmt.Errorf("not run, since its start could not be recorded: %w", err)
	}
	if executed {
		return id, nil
	}
	if err = a.list.Append(md5); err == nil {
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
		step, code := ended(o, autorun.Exit{Status: record.Status, Signal: record.Signal})
		return step, code, true
	}
	return ledger.Step{}, 0, false
}

// thisTime tells the fate of a script that says "run always", where it was
// started in this very insertion: by an agent that has ended since.
func (a *Agent) thisTime(s *stick, o *offer) (ledger.Step, int, bool) {
	sum := o.content.MD5()
	record, ok := a.Ledger.ScriptOf(hex.EncodeToString(sum[:]), s.disk.DiskSeq, o.volume.device)
	switch {
	case !ok || record.Signal == neverStarted:
		return ledger.Step{}, 0, false
	case !record.Finished:
		return o.result(Failed, "started in this insertion, end not recorded; it runs again when the stick is plugged in anew"), CodeStatus, true
	}
	step, code := ended(o, autorun.Exit{Status: record.Status, Signal: record.Signal})
	return step, code, true
}

// execute starts the script and waits for its end.
func (a *Agent) execute(ctx context.Context, s *stick, o *offer, v *approved, executed bool, payload *autorun.Payload) (ledger.Step, int) {
	id, err := a.note(s, o, v, executed)
	if err != nil {
		return o.result(Refused, "%v", err), CodeScript
	}
	a.awaitReleased()
	s.enquiry = nil // what was asked before a script is no answer after it
	a.occupy(s, "the script of "+s.describe())
	a.mark(s)
	defer a.mark(nil)
	root, _ := o.volume.directory.(handle)
	// It is in the list now: a stopping agent must still start it.
	start, cancel := context.WithTimeout(context.WithoutCancel(ctx), StartTimeout)
	defer cancel()
	run, err := a.Scripts.Start(start, autorun.Request{
		ID: id, Script: v.Verified, Name: o.stored, Target: o.volume.target, Root: root.dir,
		Timeout: a.Config.Autorun.Timeout, Payload: payload,
	})
	payload.Close() // what is bound stays
	if err != nil {
		return o.result(Failed, "not started: %v", err), CodeScript
	}
	a.scripted = true
	later := time.AfterFunc(scriptAlone, func() { s.unhold(); s.unwritten.write() })
	defer later.Stop() // who comes next has a time of his own for both
	s.log.Info("script started", logs.String("file", ScriptName), logs.String("id", id), logs.String("unit", run.Unit()))
	if o.drop(); len(v.Bytes()) > freeAtOnce { // the runner has its own copy
		debug.FreeOSMemory()
	}
	exit, err := run.Wait(ctx)
	if err != nil {
		if ctx.Err() != nil {
			a.leave(s)
			return o.result(Done, "still running while the agent stops; it goes on to its end"), 0
		}
		return o.result(Failed, "how it ended is unknown: %v", err), CodeStatus
	}
	a.enquire(ctx, s)
	a.ended(id, exit)
	a.keepOutput(ctx, s, o, run)
	a.release(s.log, run)
	if payload != nil { // its copies lie over files of the stick, over images perhaps
		a.awaitReleased()
	}
	return ended(o, exit)
}

// scriptAlone is how long status.json and records that are no hurry wait after
// the start of a script, whose shell would have to share the only processor with
// their writing.
const scriptAlone = 25 * time.Millisecond

// freeAtOnce is the size of a script whose memory is given back while it runs.
const freeAtOnce = 1 << 20

// releaseAfter is how long a script that has ended is kept while the work goes on.
const releaseAfter = time.Second

// release forgets a script while the work goes on, a little later: the end of a
// unit is work for systemd, which may be behind with what it hears of the stick,
// and the next step needs the processor, and an answer of systemd's.
func (a *Agent) release(log *logs.Logger, run *autorun.Run) {
	ctx, hasten := context.WithTimeout(context.Background(), releaseAfter)
	a.hasten = hasten
	a.releasing.Go(func() {
		_ = run.Uncover() // Release tells what is left
		<-ctx.Done()
		if err := run.Release(); err != nil {
			log.Warn("script's unit could not be cleaned up", logs.Error(err))
		}
	})
}

// awaitReleased returns when the last script is forgotten, which begins at once.
func (a *Agent) awaitReleased() {
	if a.hasten != nil {
		a.hasten()
		a.hasten = nil
	}
	a.releasing.Wait()
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
func scriptID(s *stick, v *approved) string {
	sum := v.MD5()
	return fmt.Sprintf("%x-%d-%d", sum[:6], s.disk.DiskSeq, time.Now().UnixNano())
}
