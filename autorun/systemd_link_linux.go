// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usbagent/internal/systembus"
)

// link is one connection to systemd. Nothing is subscribed to: systemd and the
// bus would pass on everything that happens to any unit, and when a stick comes
// that is dozens of devices.
type link struct{ conn *systembus.Conn }

// dialPatience is how long an address is tried before the next one is: a script
// may have stopped the bus, and a board may do without. Where nobody listens, the
// next one is tried at once.
const dialPatience = 10 * time.Second

// connect tries the addresses in order. ctx bounds that, not the connection.
func (s *systemd) connect(ctx context.Context) (*link, error) {
	var all error
	for _, address := range s.addresses {
		patient, cancel := context.WithTimeout(ctx, dialPatience)
		l, err := dial(patient, address)
		cancel()
		if err == nil {
			return l, nil
		}
		all = errors.Join(all, fmt.Errorf("reach systemd at %s: %w", address, err))
	}
	return nil, all
}

func dial(ctx context.Context, address string) (*link, error) {
	private := address == privateAddress
	conn, err := systembus.Dial(ctx, address, systembus.Options{Peer: private})
	if err != nil {
		return nil, err
	}
	l := &link{conn}
	if private {
		if err := l.wake(ctx); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return l, nil
}

// wakeDelay is how long the first answer of systemd's own socket is waited
// for before another question is sent; a quarter longer each time.
const wakeDelay = 2 * time.Millisecond

// wake sends pings until one is answered. A call that systemd (252, and others
// around it) reads together with the end of the authentication lies there
// until more bytes come.
func (l *link) wake(ctx context.Context) error {
	var first *systembus.Call // they are answered in their order
	for delay := wakeDelay; ; delay += delay / 4 {
		ping := &systembus.Call{Object: manager, Method: "org.freedesktop.DBus.Peer.Ping"}
		if err := l.conn.Send(ctx, ping); err != nil {
			return err
		}
		if first == nil {
			first = ping
		}
		select {
		case <-first.Done():
			return first.Err()
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(delay):
		}
	}
}

func (l *link) close() { l.conn.Close() }

// manager is systemd's object that knows all units.
var manager = systembus.Object{Name: systemdName, Path: systemdPath}

func (l *link) manager(ctx context.Context, method string, args []any, results ...any) error {
	return l.conn.Call(ctx, &systembus.Call{Object: manager, Method: managerCalls + method, Args: args}, results...)
}

// state is what systemd says about the unit: its properties by name.
type state map[string]any

// asked are the properties that state looks at. All properties of a service at
// once cost systemd more than the start of the unit did: it looks for drop-ins
// and reads accounts for them.
var asked = []struct{ iface, name string }{
	{unitInterface, "LoadState"}, {unitInterface, "Job"}, {unitInterface, "ActiveState"}, {unitInterface, "SubState"},
	{serviceIface, "Result"}, {serviceIface, "ExecMainCode"}, {serviceIface, "ExecMainStatus"}, {serviceIface, "MainPID"},
}

// read asks for the state of a unit; nil where there is no such unit.
func (l *link) read(ctx context.Context, name string) (state, error) {
	var path systembus.ObjectPath
	err := l.manager(ctx, "GetUnit", []any{name}, &path)
	if isError(err, noSuchUnit) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", name, err)
	}
	all, calls := state{}, make([]*systembus.Call, len(asked))
	for i, p := range asked {
		calls[i] = &systembus.Call{
			Object: systembus.Object{Name: systemdName, Path: path}, Method: propertyCalls + "Get", Args: []any{p.iface, p.name},
		}
	}
	if err := l.conn.Send(ctx, calls...); err != nil {
		return nil, fmt.Errorf("look at %s: %w", name, err)
	}
	for i, p := range asked {
		var value any
		if err := l.conn.Wait(ctx, calls[i]); err != nil {
			return nil, fmt.Errorf("look at %s: %w", name, err)
		}
		if err := calls[i].Store(&value); err != nil {
			return nil, fmt.Errorf("look at %s: %w", name, err)
		}
		all[p.name] = value
	}
	// Asking by path loads a unit that went in between.
	if all.text("LoadState") == "not-found" {
		return nil, nil
	}
	return all, nil
}

func (s state) text(name string) string {
	text, _ := s[name].(string)
	return text
}

func (s state) number(name string) int32 {
	number, _ := s[name].(int32)
	return number
}

// ended reports whether the unit's main process has ended, or was never there.
func (s state) ended() bool {
	if job, ok := s["Job"].(systembus.Struct); ok && len(job) == 2 && job[0] != uint32(0) {
		return false // the start, or a stop, is still going on
	}
	switch s.text("ActiveState") {
	case "failed", "inactive":
		return true
	case "active":
		return s.text("SubState") == "exited"
	}
	return false
}

// Values of ExecMainCode, from waitid(2).
const (
	codeExited = 1
	codeKilled = 2
	codeDumped = 3
)

func (s state) exit() Exit {
	exit := Exit{TimedOut: s.text("Result") == "timeout"}
	switch s.number("ExecMainCode") {
	case codeExited:
		exit.Status = int(s.number("ExecMainStatus"))
	case codeKilled, codeDumped:
		exit.Signal = signalName(int(s.number("ExecMainStatus")))
	default:
		exit.Unknown = true
	}
	return exit
}
