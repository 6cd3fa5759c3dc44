// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"usbagent/internal/systembus"
)

// session is one connection to RAUC, pinned to the connection that had RAUC's
// name when it was opened: all calls go to it and only its signals count.
// Somebody who takes over the name later is nobody here.
type session struct {
	bus
	spare *spare
	rauc  systembus.Object
}

// open connects, starts RAUC where it does not run, refuses an owner that is
// not root, and subscribes to its signals, which only those need who wait.
func (r *RAUC) open(ctx context.Context) (*session, error) {
	s, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.subscribe(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// dial is open without the signals.
func (r *RAUC) dial(ctx context.Context) (*session, error) {
	address, _ := busAddress(r.o.BusAddress)
	l, err := r.spare.open(ctx, address, r.limits.connect)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	s := &session{bus: bus{l, r.limits.call}, spare: r.spare}
	if err := s.pin(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() { s.spare.giveBack(s.link) }

// pin finds RAUC.
func (s *session) pin(ctx context.Context) error {
	owner, err := s.rootOwner(ctx, raucName)
	if errors.Is(err, errNoOwner) {
		return fmt.Errorf("%w: RAUC: %w", ErrUnavailable, err)
	}
	if err != nil {
		return fmt.Errorf("find RAUC: %w", err)
	}
	s.watch.pin(owner)
	s.rauc = systembus.Object{Name: owner, Path: raucPath}
	return nil
}

func (s *session) subscribe(ctx context.Context) error {
	s.spoil() // nobody else is to get these signals
	owner := s.rauc.Name
	var questions []*question
	for _, match := range []string{
		"type='signal',sender='" + owner + "'",
		"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" + owner + "'",
	} {
		questions = append(questions, &question{object: systembus.Bus, method: "org.freedesktop.DBus.AddMatch", args: []any{match}})
	}
	s.askAll(ctx, questions...)
	for _, q := range questions {
		if q.err != nil {
			return fmt.Errorf("subscribe to RAUC: %w", q.err)
		}
	}
	return nil
}

// ask calls a method of RAUC's.
func (s *session) ask(ctx context.Context, method string, args []any, results ...any) error {
	return told(s.call(ctx, s.rauc, raucInterface+"."+method, args, results...))
}

// told adds ErrBusy to an answer that says so.
func told(err error) error {
	if isBusy(err) {
		return fmt.Errorf("%w (%w)", ErrBusy, err)
	}
	return err
}

// isBusy recognises the answer of a service that works on something else. It
// has no error name of its own, in no version up to now.
func isBusy(err error) bool {
	var e systembus.Error
	return errors.As(err, &e) && strings.Contains(e.Error(), "processing a different method")
}

// isUnknownMethod recognises a method that this version of RAUC lacks.
func isUnknownMethod(err error) bool {
	return isError(err, "org.freedesktop.DBus.Error.UnknownMethod", "org.freedesktop.DBus.Error.UnknownInterface")
}

// isLost recognises an owner or a bus that has gone away.
func isLost(err error) bool {
	return errors.Is(err, systembus.ErrClosed) || isError(err,
		"org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Disconnected",
		"org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner")
}
