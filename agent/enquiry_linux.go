// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"usbagent/installer"
)

// enquiry is what others are asked at once for the images of a stick, while the
// first of them is read: each of the answers takes its time.
type enquiry struct {
	asked  time.Time
	system chan struct{} // closed when down is known
	down   bool          // the system goes down
	slots  chan struct{} // closed when the following are known
	seen   installer.Seen
	known  bool // without asking
	err    error
}

// enquire begins the enquiry of s, if it has images and there is none. One that
// was in at boot first waits for other things.
func (a *Agent) enquire(ctx context.Context, s *stick) {
	if s.enquiry != nil || !a.mayInstall(s) || s.atBoot {
		return
	}
	s.images = true
	q := &enquiry{asked: time.Now(), system: make(chan struct{}), slots: make(chan struct{})}
	s.enquiry = q
	go func() {
		system, known := a.Images.Known()
		if known {
			q.seen, q.known = installer.Seen{System: system, At: time.Now()}, true
			close(q.slots)
		}
		q.down = a.Machine.ShuttingDown(ctx)
		close(q.system)
		switch {
		case known:
			return
		case q.down:
			q.err = fmt.Errorf("ask for the slots: %w", installer.ErrShuttingDown)
		default:
			q.seen.At = time.Now()
			q.seen.System, q.err = a.Images.System(ctx)
		}
		close(q.slots)
	}()
}

// mayInstall reports whether s has anything for the installer.
func (a *Agent) mayInstall(s *stick) bool {
	return a.Images.Name() != "none" && slices.ContainsFunc(s.volumes, func(v *volume) bool { return len(v.found.images) > 0 })
}

// goingDown reports whether the system goes down: a script may have asked for it.
func (a *Agent) goingDown(ctx context.Context, s *stick) bool {
	if q := s.enquiry; q != nil && time.Since(q.asked) < installer.SeenFor {
		select {
		case <-q.system:
			return q.down
		case <-ctx.Done():
			return true
		}
	}
	return (a.scripted || s.images) && a.Machine.ShuttingDown(ctx)
}

// overSoon is over, where an enquiry is on its way without what only that can
// tell: who asks begins nothing yet.
func (a *Agent) overSoon(ctx context.Context, s *stick) bool {
	if s.enquiry != nil {
		return a.dropped(ctx, s)
	}
	return a.over(ctx, s)
}

// slots is what the installer says about the slots, which it is asked for
// unless it said so just now: each answer starts programs.
func (a *Agent) slots(ctx context.Context, s *stick, i *image) (installer.System, error) {
	if err := s.enquired(ctx, i); err != nil {
		return installer.System{}, err
	}
	if seen := i.seen.Fresh(); seen != nil {
		return *seen, nil
	}
	asked := time.Now()
	system, err := a.Images.System(ctx)
	if err == nil {
		i.seen = installer.Seen{System: system, At: asked}
	}
	return system, err
}

// enquired takes over what the enquiry has found out about the slots, if it can
// still count.
func (s *stick) enquired(ctx context.Context, i *image) error {
	q := s.enquiry
	if q == nil || i.seen.Fresh() != nil {
		return nil
	}
	select {
	case <-q.slots:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if q.err == nil {
		i.seen, i.ready = q.seen, q.known
	} else if !errors.Is(q.err, installer.ErrShuttingDown) {
		s.enquiry = nil // told once
	}
	return q.err
}
