// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/installer"
	"usbagent/internal/logs"
	"usbagent/ledger"
)

// The fates of an image in the ledger.
const (
	imageStarted   = "started"
	imageInstalled = "installed"   // and not seen running yet
	imageArrived   = "arrived"     // the board ran it and was confirmed good
	imageFellBack  = "fell-back"   // the board booted another system instead
	imagePassed    = "passed-over" // left alone at the boot after an installation
	imageFailed    = "failed"
)

// imageStep offers the images of s to the installer, in byte order of their
// names. The first that installs ends the list, and the board restarts.
func (a *Agent) imageStep(ctx context.Context, s *stick) {
	a.enquire(ctx, s)
	var misfits []ledger.Step
	fits := false
	for _, v := range s.volumes {
		if v.found.tooMany {
			if a.overSoon(ctx, s) {
				return
			}
			i := image{volume: v, name: "*" + ImageSuffix}
			a.report(s, i.result(Refused, "more than %d images; none of them is installed: leave those that are meant", MaxImages), CodeImage)
			continue
		}
		for _, name := range v.found.images {
			if a.overSoon(ctx, s) {
				return
			}
			i := &image{volume: v, name: name}
			step, action := a.offerImage(ctx, s, i)
			switch {
			case action == installer.Mismatch:
				misfits = append(misfits, step)
				continue
			case ctx.Err() != nil:
				return
			case step.Result == "": // before anything began
				if !a.over(ctx, s) {
					s.log.Info("the system is going down, nothing more is started")
				}
				return
			}
			fits = true
			a.report(s, step, failure(step, CodeImage))
			if action == installer.Install && step.Result == Done {
				a.reboot(ctx, s)
				return
			}
		}
	}
	for _, step := range misfits {
		code := CodeImage
		if fits {
			code = 0
		}
		a.report(s, step, code)
	}
}

// offerImage decides about one image and installs it where that is the decision.
// The step has no result where the stick was pulled while it waited, or the
// system goes down.
func (a *Agent) offerImage(ctx context.Context, s *stick, i *image) (ledger.Step, installer.Action) {
	if a.Images.Name() == "none" {
		return i.result(Skipped, `switched off (installer.backend = "none")`), installer.Skip
	}
	if s.atBoot {
		if step, ok := a.awaitReady(ctx, s, i); !ok {
			return step, installer.Refuse
		}
	}
	if err := a.openImage(s, i); err != nil {
		return i.result(Refused, "%v", plain(err)), installer.Refuse
	}
	defer i.file.Close()
	err := a.identify(i)
	if i.past.ID != "" && i.past.BootID != a.BootID && s.earlier.ID == "" {
		s.earlier = i.past
	}
	if err != nil {
		return i.result(Refused, "%v", err), installer.Refuse
	}
	if step, action, ok := a.early(ctx, s, i); !ok {
		return step, action
	}
	ready := func() (ledger.Step, bool) { return ledger.Step{}, true }
	if !s.atBoot {
		wait, end := a.readyMeanwhile(ctx, s, i)
		defer end()
		ready = wait
	}
	step, action, err := a.hand(ctx, s, i, ready, true)
	if errors.Is(err, installer.ErrCannotBind) {
		s.log.Warn("the installer cannot be bound to the image after all, trying without", logs.String("file", Show(i.name)), logs.Error(err))
		step, action, _ = a.hand(ctx, s, i, ready, false)
	}
	return step, action
}

// imageAhead is how many bytes of an image the kernel is asked for in advance.
const imageAhead = 1 << 20

// openImage opens the file and reads what identifies a bundle; for other
// installers that is the whole file, once it is copied.
func (a *Agent) openImage(s *stick, i *image) error {
	opened := *i
	err := a.abandonable(s, ReadStall, func(func()) error {
		if a.Images.Name() == "rauc" {
			err := opened.openAt()
			if err == nil { // while others are asked about the slots
				unix.Fadvise(int(opened.file.Fd()), 0, imageAhead, unix.FADV_WILLNEED)
			}
			return err
		}
		f, err := i.volume.open(i.name)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return err
		}
		opened.file, opened.size = f, info.Size()
		return nil
	})
	if err == nil {
		*i = opened
	}
	return err
}

// identify checks the signature of a RAUC bundle against the keyring, as far
// as that goes without reading its content, and looks up its past.
func (a *Agent) identify(i *image) error {
	if i.trailer.CMS == nil {
		return nil // another installer's format; known by the hash of its copy
	}
	sum := sha256.Sum256(i.trailer.CMS)
	i.id = hex.EncodeToString(sum[:])
	i.past, _ = a.Ledger.ImageByID(i.id)
	installed, err := a.store.Installed()
	if err != nil {
		return fmt.Errorf(unusableKeyring+": %w", err)
	}
	i.bundle, i.info, i.known, err = a.rules.examineBundle(installed, i.trailer.CMS)
	return err
}

// early decides what can be decided before anything is copied. ok means that
// the image is to be installed as far as is known by now.
func (a *Agent) early(ctx context.Context, s *stick, i *image) (step ledger.Step, action installer.Action, ok bool) {
	at := a.situation(s, i)
	info := i.info
	if !i.known {
		if !at.AtBoot || !at.Installed && !at.PassedOver {
			return step, installer.Install, true
		}
		info.Compatible = i.past.Compatible
	}
	system, err := a.slots(ctx, s, i)
	if err != nil {
		switch {
		case errors.Is(err, installer.ErrBusy):
			return step, installer.Install, true // looked at again when it is idle
		case errors.Is(err, installer.ErrShuttingDown):
			return step, installer.Refuse, false
		}
		return i.result(Failed, "%v", err), installer.Refuse, false
	}
	if info.Compatible == "" {
		info.Compatible = system.Compatible
	}
	d := installer.Decide(info, system, at)
	return a.decided(s, i, d), d.Action, d.Action == installer.Install
}

// decided makes the step of a decision against installing.
func (a *Agent) decided(s *stick, i *image, d installer.Decision) ledger.Step {
	if d.PassedOver && i.past.Result != imagePassed {
		now := time.Now()
		a.record(a.Ledger.ImageStarted(ledger.Image{
			ID: i.id, Name: Show(i.name), Version: i.info.Version, Compatible: i.info.Compatible,
			BootID: a.BootID, DiskSeq: s.disk.DiskSeq, Started: now, Ended: now, Result: imagePassed,
		}))
	}
	result := Skipped
	if d.Action == installer.Refuse {
		result = Refused
	}
	return i.result(result, "%s", d.Reason)
}

// situation is what the ledger and the time of plugging say about an image.
func (a *Agent) situation(s *stick, i *image) installer.Situation {
	at := installer.Situation{AtBoot: s.atBoot}
	switch i.past.Result {
	case imageInstalled, imageFellBack:
		at.Installed = true
	case imageArrived:
		at.Installed, at.Arrived = true, true
	case imagePassed:
		at.PassedOver = true
	}
	if a.Images.Name() == "command" {
		at.Arrived = at.Installed // no slots that could tell otherwise
	}
	if last, ok := a.lastImage(func(i ledger.Image) bool { return i.Result != imagePassed }); ok {
		at.Restarted = last.Result == imageFellBack
		at.Followed = last.BootID != a.BootID && (last.EndBootID == a.BootID || last.Result == imageInstalled)
	}
	for _, past := range a.Ledger.Images() {
		if past.BootID == a.BootID && past.Result == imageInstalled {
			at.Waiting = past.Slot
		}
	}
	return at
}

// awaitReady is ready with the step that says why not; the step has no result
// where the stick was pulled meanwhile, or the system goes down.
func (a *Agent) awaitReady(ctx context.Context, s *stick, i *image) (step ledger.Step, ok bool) {
	err := a.ready(ctx, s, i)
	if err != nil && s.ctx.Err() == nil && !errors.Is(err, installer.ErrShuttingDown) {
		step = i.result(Failed, "%v", err)
	}
	return step, err == nil
}

// ready waits until the running system is confirmed good, and until it is
// known what became of the installation before this boot. A pull ends it.
func (a *Agent) ready(ctx context.Context, s *stick, i *image) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	defer a.waiting(s, "waits until the running system is confirmed good")()
	if err := s.enquired(ctx, i); errors.Is(err, installer.ErrShuttingDown) {
		return err
	} // any other is told by who asks again
	seen := i.seen.Fresh()
	system, err := a.Images.WaitReady(ctx, seen)
	if err != nil {
		return err
	}
	if i.seen.System = system; seen == nil {
		i.seen.At = time.Now()
	}
	select {
	case <-a.settled:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// waiting shows what s waits for, unless the returned function is called
// within installer.ProgressInterval.
func (a *Agent) waiting(s *stick, what string) (over func()) {
	var shown, ended bool // guarded by a.mu
	timer := time.AfterFunc(installer.ProgressInterval, func() {
		a.change(s, func() {
			if !ended {
				s.entry.Waiting, shown = what, true
			}
		})
	})
	return func() {
		timer.Stop()
		a.mu.Lock()
		ended = true
		hide := shown
		a.mu.Unlock()
		if hide {
			a.change(s, func() { s.entry.Waiting = "" })
		}
	}
}

// showProgress puts an installation's progress into status.json; a negative
// percentage takes it out.
func (a *Agent) showProgress(percent int, message string) {
	a.mu.Lock()
	a.progress = nil
	if percent >= 0 {
		a.progress = &Progress{Percent: percent, Message: tame(message)}
	}
	a.mu.Unlock()
	a.publish()
}

// reboot restarts the board into what was installed: everything written, the
// stick unmounted, the LED on.
func (a *Agent) reboot(ctx context.Context, s *stick) {
	if !a.Config.Installer.Reboot {
		s.log.Info("image installed; the restart is left to others (installer.reboot = false)")
		return
	}
	a.awaitReleased()
	s.unwritten.write()
	a.leaveReceipt(s, true)
	a.mu.Lock()
	a.rebooting = true
	a.mu.Unlock()
	a.finish(s)
	unix.Sync()
	a.detach(s)
	a.detaching.Wait()
	s.log.Info("image installed, restarting the board")
	if err := a.Machine.Reboot(ctx); err != nil {
		a.mu.Lock()
		a.rebooting = false
		a.mu.Unlock()
		i := image{volume: &volume{device: s.disk.Name}}
		a.report(s, i.result(Failed, "installed, but the board could not be restarted: %v (cut its power once)", err), CodeImage)
	}
}
