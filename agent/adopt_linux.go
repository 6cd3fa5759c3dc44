// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"usbagent/autorun"
	"usbagent/installer"
	"usbagent/internal/logs"
	"usbagent/ledger"
)

// adoptImage sees an installation through that an earlier run of the agent
// started in this boot, and cleans up after it.
func (a *Agent) adoptImage(ctx context.Context) {
	past, ok := a.lastImage(func(i ledger.Image) bool { return i.BootID == a.BootID && i.Result == imageStarted })
	if ok {
		a.Log.Info("installation of an earlier run taken over", logs.String("file", past.Name))
		a.occupy(nil, "the installation of "+past.Name)
		err := a.awaitImage(ctx, past)
		a.showProgress(-1, "")
		a.occupy(nil, "")
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			a.restart(ctx)
			return
		}
		a.Log.Warn("installation of an earlier run failed", logs.String("file", past.Name), logs.Error(err))
		a.record(a.Ledger.ImageEnded(past.ID, imageFailed, "", err.Error()))
	}
	if err := errors.Join(installer.CleanStaging(a.stagingDir()), autorun.CleanPayload(a.RunDir, a.stagingDir())); err != nil {
		a.Log.Warn("private copies of an earlier run could not all be removed", logs.Error(err))
	}
}

// awaitImage waits for an installation that runs, and lets the slots say
// whether it ended well.
func (a *Agent) awaitImage(ctx context.Context, past ledger.Image) error {
	err := a.Images.Adopt(ctx, a.showProgress)
	if err != nil && !errors.Is(err, installer.ErrNotRunning) && !errors.Is(err, installer.ErrUnclear) {
		return err
	}
	info, err := a.Images.Inspect(ctx, past.Path)
	if err != nil {
		return err
	}
	system, err := a.Images.System(ctx)
	if err != nil {
		return err
	}
	slots, err := installer.Confirm(info, system)
	if err != nil {
		return err
	}
	a.record(a.Ledger.ImageEnded(past.ID, imageInstalled, strings.Join(slots, ", "), ""))
	return nil
}

// restart reboots after an adopted installation.
func (a *Agent) restart(ctx context.Context) {
	if !a.Config.Installer.Reboot {
		return
	}
	a.mu.Lock()
	a.rebooting = true
	a.mu.Unlock()
	a.publish()
	unix.Sync()
	a.Log.Info("image installed, restarting the board")
	if err := a.Machine.Reboot(ctx); err != nil {
		a.Log.Error("the board could not be restarted", logs.Error(err))
		a.mu.Lock()
		a.rebooting = false
		a.mu.Unlock()
		return
	}
	<-ctx.Done()
}

// settleImages finds out, in the first boot after an installation, whether
// the board arrived in the new system or fell back from it.
func (a *Agent) settleImages(ctx context.Context) {
	defer close(a.settled)
	past, ok := a.lastImage(func(i ledger.Image) bool { return i.BootID != a.BootID && i.Result == imageInstalled })
	if !ok {
		return
	}
	system, err := a.Images.System(ctx)
	if err != nil {
		a.Log.Warn("what became of the last installation cannot be known", logs.String("file", past.Name), logs.Error(err))
		return
	}
	booted, ok := system.BootedSlot()
	if !ok { // no slots that could tell otherwise
		a.record(a.Ledger.ImageEnded(past.ID, imageArrived, past.Slot, ""))
		return
	}
	if !slices.Contains(strings.Split(past.Slot, ", "), booted.Name) {
		a.Log.Warn("the board went back from the image installed last", logs.String("file", past.Name),
			logs.String("booted", booted.Name), logs.String("installed_into", past.Slot))
		a.learned(past)
		a.record(a.Ledger.ImageEnded(past.ID, imageFellBack, past.Slot, "the board booted "+booted.Name+" instead"))
		return
	}
	if _, err := a.Images.WaitReady(ctx, nil); err != nil {
		return // not confirmed: it may still fall back
	}
	a.Log.Info("the board runs the image installed last", logs.String("file", past.Name), logs.String("booted", booted.Name))
	a.learned(past)
	a.record(a.Ledger.ImageEnded(past.ID, imageArrived, past.Slot, ""))
}

// learned remembers what image's fate is news.
func (a *Agent) learned(past ledger.Image) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.outcome = past.ID
}

// lastImage returns the newest image in the ledger that is wanted.
func (a *Agent) lastImage(wanted func(ledger.Image) bool) (ledger.Image, bool) {
	images := a.Ledger.Images()
	for i := len(images) - 1; i >= 0; i-- {
		if wanted(images[i]) {
			return images[i], true
		}
	}
	return ledger.Image{}, false
}
