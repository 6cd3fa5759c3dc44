// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/godbus/dbus/v5"
)

// errLinkLost ends a connection to systemd.
var errLinkLost = errors.New("connection to systemd lost")

// link is one connection to systemd, subscribed to its signals before anything
// is asked, so that no change falls between an answer and the next signal.
type link struct {
	conn    *dbus.Conn
	signals chan *dbus.Signal
}

// connect tries the addresses in order.
func (s *systemd) connect(ctx context.Context) (*link, error) {
	var all error
	for _, address := range s.addresses {
		l, err := dial(ctx, address)
		if err == nil {
			return l, nil
		}
		all = errors.Join(all, fmt.Errorf("reach systemd at %s: %w", address, err))
	}
	return nil, all
}

func dial(ctx context.Context, address string) (*link, error) {
	// The sequential handler keeps the order and drops nothing.
	conn, err := dbus.Dial(address, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, signals: make(chan *dbus.Signal, 16)}
	conn.Signal(l.signals)
	if err := l.greet(ctx, address != privateAddress); err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

// greet authenticates and, on a message bus, subscribes. systemd's own socket
// knows no Hello, and sends its signals to everybody who connects.
func (l *link) greet(ctx context.Context, bus bool) error {
	if err := l.conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		return err
	}
	if !bus {
		return nil
	}
	if err := l.conn.Hello(); err != nil {
		return err
	}
	if err := l.conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(systemdName)); err != nil {
		return err
	}
	return l.manager(ctx, "Subscribe").Err
}

func (l *link) close() { l.conn.Close() }

func (l *link) manager(ctx context.Context, method string, args ...any) *dbus.Call {
	return l.conn.Object(systemdName, systemdPath).CallWithContext(ctx, managerCalls+method, 0, args...)
}

// signal waits for the next signal.
func (l *link) signal(ctx context.Context) (*dbus.Signal, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case s, ok := <-l.signals:
		if !ok || s == nil {
			return nil, errLinkLost
		}
		return s, nil
	}
}

// jobResult waits for the end of the job and returns systemd's word for it.
func (l *link) jobResult(ctx context.Context, job dbus.ObjectPath) (string, error) {
	for {
		s, err := l.signal(ctx)
		if err != nil {
			return "", fmt.Errorf("wait for the job of %s: %w", UnitName, err)
		}
		var id uint32
		var path dbus.ObjectPath
		var name, result string
		if s.Name != managerCalls+"JobRemoved" || dbus.Store(s.Body, &id, &path, &name, &result) != nil {
			continue
		}
		if path == job {
			return result, nil
		}
	}
}

// state is what systemd says about the unit.
type state map[string]dbus.Variant

// read asks for the state; nil when there is no such unit.
func (l *link) read(ctx context.Context) (state, error) {
	var path dbus.ObjectPath
	err := l.manager(ctx, "GetUnit", UnitName).Store(&path)
	if isError(err, noSuchUnit) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", UnitName, err)
	}
	all := state{}
	for _, iface := range []string{unitInterface, serviceIface} {
		some := state{}
		if err := l.conn.Object(systemdName, path).CallWithContext(ctx, propertyCalls+"GetAll", 0, iface).Store(&some); err != nil {
			return nil, fmt.Errorf("look at %s: %w", UnitName, err)
		}
		for name, value := range some {
			all[name] = value
		}
	}
	// Asking by path loads a unit that went in between.
	if all.text("LoadState") == "not-found" {
		return nil, nil
	}
	all["path"] = dbus.MakeVariant(path)
	return all, nil
}

// next takes one signal into s and reports whether the unit was removed.
func (l *link) next(ctx context.Context, s state) (removed bool, err error) {
	got, err := l.signal(ctx)
	if err != nil {
		return false, err
	}
	switch got.Name {
	case managerCalls + "UnitRemoved":
		return len(got.Body) > 0 && got.Body[0] == UnitName, nil
	case propertyCalls + "PropertiesChanged":
		var iface string
		var changed map[string]dbus.Variant
		var stale []string
		if s["path"].Value() != got.Path || dbus.Store(got.Body, &iface, &changed, &stale) != nil {
			return false, nil
		}
		for name, value := range changed {
			s[name] = value
		}
	}
	return false, nil
}

func (s state) text(name string) string {
	text, _ := s[name].Value().(string)
	return text
}

func (s state) number(name string) int32 {
	number, _ := s[name].Value().(int32)
	return number
}

// ended reports whether the script's main process has ended, or was never there.
func (s state) ended() bool {
	if job, ok := s["Job"].Value().([]any); ok && len(job) == 2 && job[0] != uint32(0) {
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
