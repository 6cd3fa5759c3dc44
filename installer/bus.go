// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// Limits of talking to the bus.
const (
	// ConnectTimeout is how long the bus may take to let us in.
	ConnectTimeout = 15 * time.Second
	// CallTimeout is how long one method call may take; RAUC asks its boot
	// loader's tools while we wait.
	CallTimeout = 60 * time.Second
	// ActivationTimeout is how long a service may take to be started by the bus.
	ActivationTimeout = 60 * time.Second
)

// defaultBus is the system bus where nothing else is said.
const defaultBus = "unix:path=/run/dbus/system_bus_socket;unix:path=/var/run/dbus/system_bus_socket"

// errNoOwner means that nobody has a name, and the bus cannot start anybody.
var errNoOwner = errors.New("nobody offers the D-Bus name")

// busAddress returns the address to connect to, and whether it is one that
// somebody chose.
func busAddress(configured string) (address string, chosen bool) {
	if configured != "" {
		return configured, true
	}
	if address := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); address != "" {
		return address, true
	}
	return defaultBus, false
}

// BusThere says whether there is a system bus to connect to, as far as can be
// seen without connecting.
func BusThere() bool {
	address, _ := busAddress("")
	for one := range strings.SplitSeq(address, ";") {
		path, err := socketPath(one)
		if err != nil || strings.HasPrefix(path, "@") { // not to be seen in the file system
			return true
		}
		if _, err := os.Lstat(path); err == nil {
			return true
		}
	}
	return false
}

// connect opens a connection that ends with ctx. The bus has the given time to
// let us in. Descriptors are not accepted on it: any local user may send
// signals, and every descriptor in one would stay open here.
func connect(ctx context.Context, address string, timeout time.Duration) (*connection, error) {
	var errs []error
	for one := range strings.SplitSeq(address, ";") {
		l, err := connectOne(ctx, one, timeout)
		if err == nil {
			return l, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("connect to the system bus: %w", errors.Join(errs...))
}

func connectOne(ctx context.Context, address string, timeout time.Duration) (*connection, error) {
	path, err := socketPath(address)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: timeout}
	socket, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	l := &connection{wire: newWire(socket), watch: newWatch(), roots: map[string]bool{}}
	l.Conn, err = dbus.NewConn(l.wire, dbus.WithContext(ctx), dbus.WithSignalHandler(l.watch))
	if err != nil {
		socket.Close()
		return nil, err
	}
	// A bus that accepts and then says nothing ends here.
	timer := time.AfterFunc(timeout, func() { l.Close() })
	defer timer.Stop()
	err = l.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
	if err == nil {
		err = l.Hello()
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// socketPath takes the socket out of one address in the form of the D-Bus
// specification, "Server Addresses"; an abstract one begins with @.
func socketPath(address string) (string, error) {
	list, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return "", fmt.Errorf("bus address %.200q is no unix: address", address)
	}
	for pair := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(value)
		if err != nil {
			return "", fmt.Errorf("bus address %.200q: %w", address, err)
		}
		switch key {
		case "path":
			return value, nil
		case "abstract":
			return "@" + value, nil
		}
	}
	return "", fmt.Errorf("bus address %.200q names no socket", address)
}

// bus is a connection on which no call takes longer than timeout.
type bus struct {
	*link
	timeout time.Duration
}

// question is one of the calls that askAll sends at once, and its error.
type question struct {
	object  dbus.BusObject
	method  string
	args    []any
	results []any
	err     error
}

// askAll sends all questions before it waits for the first answer, so that the
// bus and who has to answer are woken once. They are answered in this order,
// each in at most b.timeout after the one before; where one gets no answer, the
// ones after it are not waited for.
func (b bus) askAll(ctx context.Context, questions ...*question) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	calls := make([]*dbus.Call, len(questions))
	b.wire.hold()
	for i, q := range questions {
		calls[i] = q.object.GoWithContext(ctx, q.method, dbus.FlagNoAutoStart, make(chan *dbus.Call, 1), q.args...)
	}
	lost := b.wire.flush()
	timer := time.NewTimer(b.timeout)
	defer timer.Stop()
	for i, q := range questions {
		if lost == nil {
			timer.Reset(b.timeout)
			select {
			case <-calls[i].Done:
				q.err, lost = q.take(calls[i])
			case <-timer.C:
				lost = context.DeadlineExceeded
			}
		}
		if lost != nil {
			q.err = lost
		}
		if q.err != nil {
			q.err = fmt.Errorf("%s: %w", q.method, q.err)
		}
	}
	if lost != nil {
		b.spoil()
	}
}

// take stores what a call returned. It tells an error that somebody answered
// with from none at all.
func (q *question) take(call *dbus.Call) (err, lost error) {
	var answer dbus.Error
	switch {
	case call.Err == nil:
		return dbus.Store(call.Body, q.results...), nil
	case errors.As(call.Err, &answer):
		return call.Err, nil
	}
	return nil, call.Err
}

// call calls a method and stores what it returns.
func (b bus) call(ctx context.Context, object dbus.BusObject, method string, args []any, results ...any) error {
	q := question{object: object, method: method, args: args, results: results}
	b.askAll(ctx, &q)
	return q.err
}

// rootOwner is rootOwners for one name.
func (b bus) rootOwner(ctx context.Context, name string) (string, error) {
	owners, errs := b.rootOwners(ctx, name)
	return owners[0], errs[0]
}

// rootOwners returns the unique names of the names' owners, who must be root;
// the bus is asked to start those whose name nobody has. errNoOwner where it
// cannot; ErrDistrusted where it is another user's.
func (b bus) rootOwners(ctx context.Context, names ...string) (owners []string, errs []error) {
	daemon := b.BusObject()
	owners, errs = make([]string, len(names)), make([]error, len(names))
	uids := make([]uint32, len(names))
	who, whose := make([]*question, len(names)), make([]*question, len(names))
	for i, name := range names {
		who[i] = &question{object: daemon, method: "org.freedesktop.DBus.GetNameOwner", args: []any{name}, results: []any{&owners[i]}}
		whose[i] = &question{object: daemon, method: "org.freedesktop.DBus.GetConnectionUnixUser", results: []any{&uids[i]}}
	}
	b.askAll(ctx, who...)
	var open []*question
	for i, name := range names {
		if isError(who[i].err, "org.freedesktop.DBus.Error.NameHasNoOwner") {
			if who[i].err = activate(ctx, daemon, name); who[i].err == nil {
				b.askAll(ctx, who[i])
			}
		}
		if who[i].err == nil && !b.isRoots(owners[i]) {
			whose[i].args = []any{owners[i]}
			open = append(open, whose[i])
		}
	}
	b.askAll(ctx, open...)
	for i, name := range names {
		errs[i] = errors.Join(who[i].err, whose[i].err)
		if errs[i] == nil && uids[i] != 0 {
			errs[i] = fmt.Errorf("%s belongs to uid %d: %w", name, uids[i], ErrDistrusted)
		}
		if errs[i] != nil {
			owners[i] = ""
			continue
		}
		b.setRoots(owners[i])
	}
	return owners, errs
}

// activate asks the bus to start the service name.
func activate(ctx context.Context, daemon dbus.BusObject, name string) error {
	ctx, cancel := context.WithTimeout(ctx, ActivationTimeout)
	defer cancel()
	var code uint32
	err := daemon.CallWithContext(ctx, "org.freedesktop.DBus.StartServiceByName", 0, name, uint32(0)).Store(&code)
	var answer dbus.Error
	if errors.As(err, &answer) { // the bus's own: unknown, or its start failed
		return fmt.Errorf("start %s: %w: %w", name, errNoOwner, err)
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}

// isError reports whether err is a D-Bus error with one of the names.
func isError(err error, names ...string) bool {
	var e dbus.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, name := range names {
		if e.Name == name {
			return true
		}
	}
	return false
}
