// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of a job.
const (
	// RunTimeout bounds a job with everything it waits for.
	RunTimeout = 4 * time.Hour
	// SeenFor is how long an answer of System counts. An installation that
	// began and ended meanwhile would have to be shorter.
	SeenFor = 2 * time.Second
	// InstallAttempts is how often an installation is tried to begin while
	// somebody else gets in before.
	InstallAttempts = 5
)

// Seen is an answer of System and when it was asked for; zero for none.
type Seen struct {
	System
	At time.Time
}

// Fresh returns the answer, or nil where it is older than SeenFor.
func (s *Seen) Fresh() *System {
	if time.Since(s.At) < SeenFor {
		return &s.System
	}
	return nil
}

// Job is one image to install.
type Job struct {
	Path      string // where the installer reads it: the staged copy, or the stick
	Info      Info
	Situation Situation
	Options   InstallOptions
	Seen      Seen     // what WaitReady said, so that it need not be asked again at once
	Progress  Progress // may be nil
	// Begin, if not nil, is called right before the image is handed over, so
	// that it can be recorded; its error ends the job.
	Begin func(System) error
}

// Result is what came of a job.
type Result struct {
	// Decision is the last one; the image was handed over where its Action
	// is Install.
	Decision Decision
	// Slots are those that hold the image now.
	Slots []string
}

// Run waits until the running system is confirmed good and the installer is
// idle, decides upon what the slots say then, installs, and confirms by the
// slots. A nil error with Decision.Action Install means installed and
// confirmed; any other action means that nothing was done, for the reason
// given there. When ctx ends Run returns, and RAUC goes on.
func Run(ctx context.Context, b Backend, job Job) (Result, error) {
	late := fmt.Errorf("%w: not done after %v", ErrStalled, RunTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, RunTimeout, late)
	defer cancel()
	system, err := job.ready(ctx, b)
	if err != nil {
		return Result{}, err
	}
	for range InstallAttempts {
		d, err := attempt(ctx, b, job, system)
		if errors.Is(err, ErrBusy) { // somebody was faster; look again
			if system, err = b.WaitIdle(ctx); err != nil {
				return Result{Decision: d}, err
			}
			continue
		}
		if err != nil && !errors.Is(err, ErrUnclear) || d.Action != Install {
			return Result{Decision: d}, err
		}
		slots, errConfirm := confirm(ctx, b, job.Info)
		if errConfirm != nil {
			return Result{Decision: d}, errors.Join(errConfirm, err)
		}
		return Result{Decision: d, Slots: slots}, nil
	}
	return Result{}, fmt.Errorf("install %s: %w: %d attempts", job.Path, ErrBusy, InstallAttempts)
}

// ready is WaitReady, unless that was asked just now.
func (j Job) ready(ctx context.Context, b Backend) (System, error) {
	if seen := j.Seen.Fresh(); seen != nil {
		return *seen, nil
	}
	return b.WaitReady(ctx, nil)
}

// attempt decides upon the slots and installs once.
func attempt(ctx context.Context, b Backend, job Job, system System) (Decision, error) {
	d := Decide(job.Info, system, job.Situation)
	if d.Action != Install {
		return d, nil
	}
	if job.Begin != nil {
		if err := job.Begin(system); err != nil {
			return d, err
		}
	}
	return d, b.Install(ctx, job.Path, job.Options, job.Progress)
}

// confirm asks for the slots anew, from a service that may have been restarted.
func confirm(ctx context.Context, b Backend, info Info) ([]string, error) {
	after, err := b.WaitIdle(ctx)
	if err != nil {
		return nil, fmt.Errorf("confirm installation: %w", err)
	}
	return Confirm(info, after)
}

// Confirm returns the slots that hold the bundle info, and an error that wraps
// ErrNotConfirmed unless they do and one of them boots next. A backend without
// slots confirms nothing and refuses nothing.
func Confirm(info Info, after System) ([]string, error) {
	if len(after.Slots) == 0 {
		return nil, nil
	}
	holders := after.holders(info)
	if info.comparable(after.Variant) && !after.Kept(info) {
		return nil, fmt.Errorf("confirm installation: %w: no slots hold the image", ErrNotConfirmed)
	}
	var names []string
	for _, slot := range holders {
		names = append(names, slot.Name)
	}
	if after.bootsNext(holders) {
		return names, nil
	}
	return nil, fmt.Errorf("confirm installation: %w: %s boots next, the image is in %s",
		ErrNotConfirmed, after.Primary, strings.Join(names, ", "))
}

// holders returns the slots outside of the running system that hold an image
// of the bundle.
func (s System) holders(info Info) []Slot {
	var holders []Slot
	for _, slot := range s.Slots {
		for _, image := range info.imagesFor(s.Variant) {
			if image.SHA256 != "" && image.Class == slot.Class && !s.running(slot) &&
				slot.intact() && strings.EqualFold(slot.SHA256, image.SHA256) {
				holders = append(holders, slot)
				break
			}
		}
	}
	return holders
}

// comparable reports whether the bundle has images whose digest is known.
func (i Info) comparable(variant string) bool {
	for _, image := range i.imagesFor(variant) {
		if image.SHA256 != "" {
			return true
		}
	}
	return false
}

// bootsNext reports whether one of the holders' groups boots next, as far as
// that can be told: some boot loaders do not say, activate-installed=false
// leaves it to others, and what has no boot name is not booted.
func (s System) bootsNext(holders []Slot) bool {
	primary, ok := s.Slot(s.Primary)
	if !ok || s.KeepsPrimary {
		return true
	}
	bootable := len(holders) == 0
	for _, slot := range holders {
		root := s.root(slot)
		if root.Name == s.root(primary).Name {
			return true
		}
		bootable = bootable || root.BootName != ""
	}
	_, unproven := s.Unproven()
	return !bootable || len(holders) == 0 && unproven
}
