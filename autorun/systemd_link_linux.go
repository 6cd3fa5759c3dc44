// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
)

// errLinkLost ends a connection to systemd.
var errLinkLost = errors.New("connection to systemd lost")

// link is one connection to systemd for one unit, subscribed to its signals
// before anything is asked, so that no change falls between an answer and the
// next signal. It remembers what it heard: a unit that was stopped is
// forgotten by systemd at once.
type link struct {
	conn    *dbus.Conn
	signals chan *dbus.Signal
	name    string
	path    dbus.ObjectPath
	state   state
}

// connect tries the addresses in order. ctx bounds that, not the connection.
func (s *systemd) connect(ctx context.Context, unit string) (*link, error) {
	var all error
	for _, address := range s.addresses {
		l, err := dial(ctx, address, unit)
		if err == nil {
			return l, nil
		}
		all = errors.Join(all, fmt.Errorf("reach systemd at %s: %w", address, err))
	}
	return nil, all
}

func dial(ctx context.Context, address, unit string) (*link, error) {
	// The sequential handler keeps the order and drops nothing.
	conn, err := dbus.Dial(address, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, signals: make(chan *dbus.Signal, 16), name: unit, path: unitPath(unit), state: state{}}
	conn.Signal(l.signals)
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // authentication knows no ctx
	err = l.greet(ctx, address != privateAddress)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

// unitPath is where systemd shows the unit (sd_bus_path_encode(3)).
func unitPath(name string) dbus.ObjectPath {
	path := []byte("/org/freedesktop/systemd1/unit/")
	for i, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' && i > 0 {
			path = append(path, c)
		} else {
			path = fmt.Appendf(path, "_%02x", c)
		}
	}
	return dbus.ObjectPath(path)
}

// greet authenticates and, on a message bus, subscribes. systemd's own socket
// knows no Hello, and sends its signals to everybody who connects.
func (l *link) greet(ctx context.Context, bus bool) error {
	if err := l.conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		return err
	}
	if !bus {
		return l.wake(ctx)
	}
	if err := l.conn.Hello(); err != nil {
		return err
	}
	if err := l.conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(systemdName)); err != nil {
		return err
	}
	return l.manager(ctx, "Subscribe").Err
}

// wakeDelay is how long the first answer of systemd's own socket is waited
// for before another question is sent; a quarter longer each time.
const wakeDelay = 2 * time.Millisecond

// wake sends pings until one is answered. A call that systemd (252, and others
// around it) reads together with the end of the authentication lies there
// until more bytes come.
func (l *link) wake(ctx context.Context) error {
	answers := make(chan *dbus.Call, 64)
	for delay := wakeDelay; len(answers) < cap(answers); delay += delay / 4 {
		l.conn.Object(systemdName, systemdPath).Go("org.freedesktop.DBus.Peer.Ping", 0, answers)
		select {
		case call := <-answers:
			return call.Err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(delay):
		}
	}
	return errLinkLost
}

func (l *link) close() { l.conn.Close() }

func (l *link) manager(ctx context.Context, method string, args ...any) *dbus.Call {
	return l.conn.Object(systemdName, systemdPath).CallWithContext(ctx, managerCalls+method, 0, args...)
}

// signal waits for the next signal, and takes what it says of the unit.
func (l *link) signal(ctx context.Context) (*dbus.Signal, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case s, ok := <-l.signals:
		if !ok || s == nil {
			return nil, errLinkLost
		}
		var iface string
		var changed map[string]dbus.Variant
		var stale []string
		if s.Name == propertyCalls+"PropertiesChanged" && s.Path == l.path && dbus.Store(s.Body, &iface, &changed, &stale) == nil {
			maps.Copy(l.state, changed)
		}
		return s, nil
	}
}

// settle takes the signals that were sent already.
func (l *link) settle(ctx context.Context) {
	short, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		if _, err := l.signal(short); err != nil {
			return
		}
	}
}

// jobResult waits for the end of the job and returns systemd's word for it.
func (l *link) jobResult(ctx context.Context, job dbus.ObjectPath) (string, error) {
	for {
		s, err := l.signal(ctx)
		if err != nil {
			return "", fmt.Errorf("wait for the job: %w", err)
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

// state is what systemd says about the unit: its properties by name.
type state map[string]dbus.Variant

// asked are the properties that state looks at, in the order in which they are
// asked for. All properties of a service at once cost systemd more than the
// start of the unit did: it looks for drop-ins and reads accounts for them.
var asked = []struct{ iface, name string }{
	{unitInterface, "LoadState"}, {unitInterface, "Job"}, {unitInterface, "ActiveState"}, {unitInterface, "SubState"},
	{serviceIface, "Result"}, {serviceIface, "ExecMainCode"}, {serviceIface, "ExecMainStatus"},
}

// read asks for the state and reports whether there is such a unit.
func (l *link) read(ctx context.Context) (bool, error) {
	var path dbus.ObjectPath
	err := l.manager(ctx, "GetUnit", l.name).Store(&path)
	if isError(err, noSuchUnit) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", l.name, err)
	}
	all, answers := state{}, make([]*dbus.Call, len(asked))
	for i, p := range asked {
		answers[i] = l.conn.Object(systemdName, l.path).GoWithContext(ctx, propertyCalls+"Get", 0, nil, p.iface, p.name)
	}
	for i, p := range asked {
		var value dbus.Variant
		if err := (<-answers[i].Done).Store(&value); err != nil {
			return false, fmt.Errorf("look at %s: %w", l.name, err)
		}
		all[p.name] = value
	}
	// Asking by path loads a unit that went in between.
	if all.text("LoadState") == "not-found" {
		return false, nil
	}
	maps.Copy(l.state, all)
	return true, nil
}

// next takes one signal and reports whether it says that the unit was removed.
func (l *link) next(ctx context.Context) (removed bool, err error) {
	s, err := l.signal(ctx)
	if err != nil {
		return false, err
	}
	return s.Name == managerCalls+"UnitRemoved" && len(s.Body) > 0 && s.Body[0] == l.name, nil
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
