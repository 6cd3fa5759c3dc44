// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"usbagent/internal/systembus"
)

// Limits of one installation.
const (
	// InstallStall is how long RAUC may go without reporting progress. Older
	// versions report none while they write a slot: one gigabyte to a slow
	// eMMC from a slow stick.
	InstallStall = 20 * time.Minute
	// InstallTimeout is how long an installation may take in all.
	InstallTimeout = 2 * time.Hour
	// IdleProbe is how often RAUC is asked whether it still works on it, in
	// case that its Completed never comes.
	IdleProbe = 30 * time.Second
	// ProgressInterval is the shortest time between two calls of Progress.
	ProgressInterval = 200 * time.Millisecond

	// recheck is the first such interval after a Completed.
	recheck = 250 * time.Millisecond
)

// Install installs the bundle at path through RAUC.
func (r *RAUC) Install(ctx context.Context, path string, o InstallOptions, progress Progress) error {
	s, err := r.open(ctx)
	if err != nil {
		return fmt.Errorf("install %s: %w", path, err)
	}
	defer s.close()
	if o.Hold != nil {
		if err := o.Hold(); err != nil {
			return fmt.Errorf("install %s: %w", path, err)
		}
	}
	if err := s.begin(ctx, path, o); err != nil {
		return fmt.Errorf("install %s: %w", path, err)
	}
	if err := s.wait(ctx, r.limits, progress); err != nil {
		return fmt.Errorf("install %s: %w", path, err)
	}
	return nil
}

// Adopt waits for the installation that RAUC works on.
func (r *RAUC) Adopt(ctx context.Context, progress Progress) error {
	s, err := r.open(ctx)
	if err != nil {
		return fmt.Errorf("adopt installation: %w", err)
	}
	defer s.close()
	_, err = s.slots(ctx)
	if err == nil {
		err = ErrNotRunning
	}
	if errors.Is(err, ErrBusy) {
		err = s.wait(ctx, r.limits, progress)
	}
	if err != nil {
		return fmt.Errorf("adopt installation: %w", err)
	}
	return nil
}

// begin starts an installation. Whatever it returns but nil and ErrUnclear,
// none was started.
func (s *session) begin(ctx context.Context, path string, o InstallOptions) error {
	args := map[string]any{}
	if o.ManifestHash != "" {
		args["require-manifest-hash"] = o.ManifestHash
	}
	s.watch.take() // what came before is nobody's
	err := s.ask(ctx, "InstallBundle", []any{path, args})
	switch {
	case err == nil, errors.Is(err, ErrBusy):
		return err
	case isUnknownMethod(err) && o.ManifestHash != "":
		return fmt.Errorf("%w: %w", ErrCannotBind, err)
	case isUnknownMethod(err): // before RAUC 1.3
		return s.beginLegacy(ctx, path)
	case o.ManifestHash != "" && strings.Contains(err.Error(), "Unsupported key"):
		return fmt.Errorf("%w: %w", ErrCannotBind, err)
	}
	return s.unclear(err)
}

// beginLegacy starts an installation with the method Install, which answers
// every trouble with the same words.
func (s *session) beginLegacy(ctx context.Context, path string) error {
	err := s.ask(ctx, "Install", []any{path})
	if err == nil || errors.Is(err, ErrBusy) || isLost(err) {
		return s.unclear(err)
	}
	if _, busy := s.slots(ctx); errors.Is(busy, ErrBusy) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return s.unclear(err)
}

// unclear marks errors after which RAUC may have begun all the same.
func (s *session) unclear(err error) error {
	var answer systembus.Error
	if err == nil || errors.As(err, &answer) && !isLost(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnclear, err)
}

// wait returns when the installation that runs has ended.
func (s *session) wait(ctx context.Context, limits limits, progress Progress) error {
	w := newWaiting(s, limits, progress)
	defer w.stop()
	for {
		var done bool
		var err error
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped waiting, RAUC goes on: %w", ctx.Err())
		case <-s.Done():
			if ctx.Err() == nil { // else it was closed because we stop
				return fmt.Errorf("%w: the connection to the bus was lost", ErrUnclear)
			}
		case <-w.end.C:
			return fmt.Errorf("%w: %w: not done after %v", ErrUnclear, ErrStalled, limits.total)
		case <-w.stall.C:
			return fmt.Errorf("%w: %w: RAUC told nothing for %v", ErrUnclear, ErrStalled, limits.stall)
		case <-w.probe.C:
			done, err = w.check(ctx)
		case <-s.watch.changed:
			done, err = w.look(ctx)
		}
		if ctx.Err() == nil && (done || err != nil) {
			return err
		}
	}
}

// waiting is the state of wait.
type waiting struct {
	*session
	limits   limits
	progress Progress

	end, stall, probe *time.Timer
	interval          time.Duration // until the next probe

	result  *int32    // of the last Completed
	doubt   bool      // RAUC was busy after it: it may be of another installation
	success bool      // one of them told success
	idle    int       // probes in a row that found RAUC idle
	told    time.Time // when progress was called last
}

func newWaiting(s *session, limits limits, progress Progress) *waiting {
	return &waiting{
		session: s, limits: limits, progress: progress, interval: limits.probe,
		end: time.NewTimer(limits.total), stall: time.NewTimer(limits.stall), probe: time.NewTimer(limits.probe),
	}
}

func (w *waiting) stop() {
	w.end.Stop()
	w.stall.Stop()
	w.probe.Stop()
}

// look takes in what the watch has seen.
func (w *waiting) look(ctx context.Context) (bool, error) {
	seen := w.watch.take()
	if seen.moved {
		w.stall.Reset(w.limits.stall)
		w.tell(seen.percent, seen.message)
	}
	for _, result := range seen.results {
		w.result, w.doubt, w.success = &result, false, w.success || result == 0
	}
	if seen.gone {
		return false, fmt.Errorf("%w: RAUC's service ended", ErrUnclear)
	}
	if len(seen.results) == 0 {
		return false, nil
	}
	w.interval = recheck
	return w.check(ctx)
}

// check asks whether RAUC still works, and judges when it does not. A Completed
// does not say whose it is: while RAUC is busy it may be that of another
// installation which ended as ours began.
func (w *waiting) check(ctx context.Context) (bool, error) {
	_, err := w.slots(ctx)
	w.probe.Reset(w.interval)
	w.interval = min(2*w.interval, w.limits.probe)
	switch {
	case errors.Is(err, ErrBusy), errors.Is(err, context.DeadlineExceeded):
		w.idle, w.doubt = 0, true // no answer is none; the stall timer runs
		return false, nil
	case ctx.Err() != nil:
		return false, nil // told by wait
	case err != nil:
		return false, fmt.Errorf("%w: %w", ErrUnclear, err)
	case w.result != nil && (*w.result == 0 || !w.doubt):
		return w.judge(ctx) // a success is confirmed by the slots, whose it ever is
	}
	// One idle answer may overtake a signal that is on its way; two do not.
	if w.idle++; w.idle < 2 {
		return false, nil
	}
	if w.result != nil {
		return w.judge(ctx)
	}
	return false, fmt.Errorf("%w: RAUC is idle and never said how it ended", ErrUnclear)
}

// judge ends the waiting by the last Completed.
func (w *waiting) judge(ctx context.Context) (bool, error) {
	switch {
	case *w.result == 0:
		return true, nil
	case w.success: // ours, or another's: the slots know
		return false, fmt.Errorf("%w: RAUC reported a success and a failure: %s", ErrUnclear, w.lastError(ctx))
	}
	return false, fmt.Errorf("RAUC: %s", w.lastError(ctx))
}

// lastError returns RAUC's words for a failure. They may be of an earlier one,
// so nothing is concluded from them.
func (w *waiting) lastError(ctx context.Context) string {
	var v any
	err := w.call(ctx, w.rauc, properties+".Get", []any{raucInterface, "LastError"}, &v)
	if text, ok := v.(string); err == nil && ok && text != "" {
		return cut(text, MaxField)
	}
	return "installation failed without a word"
}

// tell passes on progress, not too often.
func (w *waiting) tell(percent int, message string) {
	if w.progress == nil || percent < 100 && time.Since(w.told) < w.limits.progress {
		return
	}
	w.told = time.Now()
	w.progress(percent, message)
}
