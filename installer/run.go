// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Job is one image to install.
type Job struct {
	Path      string // where the installer reads it: the staged copy, or the stick
	Info      Info
	Situation Situation
	Options   InstallOptions
	Progress  Progress // may be nil
}

// Result is what came of a job.
type Result struct {
	// Decision is the last one; the image was handed over where its Action
	// is Install.
	Decision Decision
	// Slots are those that hold the image now and boot next.
	Slots []string
}

// RunTimeout bounds a job with everything it waits for.
const RunTimeout = 4 * time.Hour

// Run waits until the running system is confirmed good and the installer is
// idle, decides upon what the slots say then, installs, and confirms by the
// slots. A nil error with Decision.Action Install means installed and
// confirmed; any other action means that nothing was done, for the reason
// given there. Run returns when ctx ends; RAUC then goes on.
func Run(ctx context.Context, b Backend, job Job) (Result, error) {
	return Result{}, errors.ErrUnsupported
}

// Confirm returns an error that wraps ErrNotConfirmed unless the slots in
// after show that the bundle info was installed and boots next.
func Confirm(info Info, after System) ([]string, error) {
	return nil, fmt.Errorf("confirm: %w", errors.ErrUnsupported)
}
