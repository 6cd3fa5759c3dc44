// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"errors"
	"strings"
	"time"

	"usbagent/installer"
	"usbagent/internal/logs"
	"usbagent/ledger"
)

// readyMeanwhile is awaitReady beside other work on i. wait returns what came of
// it, and may be called again; end ends it.
func (a *Agent) readyMeanwhile(ctx context.Context, s *stick, i *image) (wait func() (ledger.Step, bool), end func()) {
	ctx, cancel := context.WithCancel(ctx)
	asking := *i // what it has seen is the goroutine's until that has ended
	var step ledger.Step
	var ok bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		step, ok = a.awaitReady(ctx, s, &asking)
	}()
	wait = func() (ledger.Step, bool) {
		<-done
		i.seen = asking.seen
		return step, ok
	}
	return wait, func() { cancel(); <-done }
}

// hand puts the image where it can be installed from and installs it, as soon as
// ready says that the system is. Unless bind, nothing relies on the installer
// taking one manifest only. The error is the installer's.
func (a *Agent) hand(ctx context.Context, s *stick, i *image, ready func() (ledger.Step, bool), bind bool) (ledger.Step, installer.Action, error) {
	path, options, remove, err := a.place(ctx, s, i, bind)
	if err != nil {
		result := Failed
		if errors.Is(err, installer.ErrChanged) {
			result = Refused
		}
		return i.result(result, "%v", err), installer.Refuse, nil
	}
	defer remove()
	gate := func() (ledger.Step, bool) {
		step, ok := ready()
		return step, ok && !a.goingDown(ctx, s)
	}
	if !i.ready { // it may take a while, which is no installation yet
		if step, ok := gate(); !ok {
			return step, installer.Refuse, nil
		}
		gate = nil
	}
	if !i.known && a.Images.Name() == "rauc" {
		if i.info, err = a.Images.Inspect(ctx, path); err != nil {
			return i.result(Refused, "%v", err), installer.Refuse, nil
		}
		i.known = true
	}
	return a.install(ctx, s, i, path, options, gate)
}

// errShut means that gate does not let an image pass.
var errShut = errors.New("not handed over")

// install hands the image over, with its way through the ledger. gate, unless nil,
// is asked at the last moment; where it does not let the image pass, its step is
// the result.
func (a *Agent) install(ctx context.Context, s *stick, i *image, path string, o installer.InstallOptions, gate func() (ledger.Step, bool)) (ledger.Step, installer.Action, error) {
	begun := false
	var shut ledger.Step
	blink := func() { a.change(s, func() { s.light.Installing = true }) }
	if gate != nil {
		o.Hold = func() error {
			step, ok := gate()
			if !ok {
				shut = step
				return errShut
			}
			blink()
			return nil
		}
	}
	job := installer.Job{Path: path, Info: i.info, Situation: a.situation(s, i), Options: o, Progress: a.showProgress,
		Seen: i.seen,
		Begin: func(installer.System) error {
			begun = true
			a.begin(s, i, path)
			if gate == nil {
				blink()
			}
			return nil
		}}
	s.log.Info("image handed to the installer", logs.String("file", Show(i.name)), logs.String("version", Show(i.info.Version)),
		logs.String("installer", a.Images.Name()))
	res, err := installer.Run(ctx, a.Images, job)
	s.enquiry = nil // the slots are others now
	defer a.showProgress(-1, "")
	defer a.change(s, func() { s.light.Installing = false })
	switch {
	case errors.Is(err, errShut):
		a.record(a.Ledger.ImageEnded(i.id, imageFailed, "", err.Error()))
		return shut, installer.Refuse, nil
	case ctx.Err() != nil:
		return i.result(Skipped, "the agent was stopped; the installation goes on"), installer.Skip, nil
	case err != nil:
		if begun {
			a.record(a.Ledger.ImageEnded(i.id, imageFailed, "", err.Error()))
		}
		return i.result(Failed, "%v", err), installer.Install, err
	case res.Decision.Action != installer.Install:
		return a.decided(s, i, res.Decision), res.Decision.Action, nil
	}
	slots := strings.Join(res.Slots, ", ")
	a.record(a.Ledger.ImageEnded(i.id, imageInstalled, slots, ""))
	return i.result(Done, "version %q installed%s", Show(i.info.Version), into(slots)), installer.Install, nil
}

func into(slots string) string {
	if slots == "" {
		return ""
	}
	return " into " + slots
}

// begin is called right before the installer gets the image.
func (a *Agent) begin(s *stick, i *image, path string) {
	a.record(a.Ledger.ImageStarted(ledger.Image{
		ID: i.id, Name: Show(i.name), Version: i.info.Version, Compatible: i.info.Compatible, Path: path,
		BootID: a.BootID, DiskSeq: s.disk.DiskSeq, Started: time.Now(), Result: imageStarted,
	}))
}
