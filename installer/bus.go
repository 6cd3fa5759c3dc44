// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"usbagent/internal/systembus"
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

// errNoOwner means that nobody has a name, and the bus cannot start anybody.
var errNoOwner = errors.New("nobody offers the D-Bus name")

// busAddress returns the address to connect to, and whether it is one that
// somebody chose.
func busAddress(configured string) (address string, chosen bool) {
	if configured != "" {
		return configured, true
	}
	return systembus.Address()
}

// BusThere says whether there is a system bus to connect to, as far as can be
// seen without connecting.
func BusThere() bool {
	address, _ := busAddress("")
	paths, errs := systembus.Sockets(address)
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil || strings.HasPrefix(path, "@") { // not to be seen in the file system
			return true
		}
	}
	return len(errs) != 0
}

// connect opens a connection. The bus has the given time to let us in.
func connect(ctx context.Context, address string, timeout time.Duration) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := &connection{watch: newWatch(), roots: map[string]bool{}}
	var err error
	if c.Conn, err = systembus.Dial(ctx, address, systembus.Options{Signals: c.watch.deliver}); err != nil {
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	return c, nil
}

// bus is a connection on which no call takes longer than timeout.
type bus struct {
	*link
	timeout time.Duration
}

// question is one of the calls that askAll sends at once, and its error.
type question struct {
	object  systembus.Object
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
	calls := make([]*systembus.Call, len(questions))
	for i, q := range questions {
		calls[i] = &systembus.Call{Object: q.object, Method: q.method, Args: q.args, NoAutoStart: true}
	}
	lost := b.Send(ctx, calls...)
	timer := time.NewTimer(b.timeout)
	defer timer.Stop()
	for i, q := range questions {
		if lost == nil {
			timer.Reset(b.timeout)
			select {
			case <-calls[i].Done():
				q.err, lost = q.take(calls[i])
			case <-ctx.Done():
				lost = ctx.Err()
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
		b.Forget(calls...)
	}
}

// take stores what a call returned. It tells an error that somebody answered
// with from none at all.
func (q *question) take(call *systembus.Call) (err, lost error) {
	var answer systembus.Error
	if err := call.Err(); err != nil && !errors.As(err, &answer) {
		return nil, err
	}
	return call.Store(q.results...), nil
}

// call calls a method and stores what it returns.
func (b bus) call(ctx context.Context, object systembus.Object, method string, args []any, results ...any) error {
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
	owners, errs = make([]string, len(names)), make([]error, len(names))
	uids := make([]uint32, len(names))
	who, whose := make([]*question, len(names)), make([]*question, len(names))
	for i, name := range names {
		who[i] = &question{object: systembus.Bus, method: "org.freedesktop.DBus.GetNameOwner", args: []any{name}, results: []any{&owners[i]}}
		whose[i] = &question{object: systembus.Bus, method: "org.freedesktop.DBus.GetConnectionUnixUser", results: []any{&uids[i]}}
	}
	b.askAll(ctx, who...)
	var open []*question
	for i, name := range names {
		if isError(who[i].err, "org.freedesktop.DBus.Error.NameHasNoOwner") {
			if who[i].err = activate(ctx, b, name); who[i].err == nil {
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

// caller is a connection, as far as activate uses one.
type caller interface {
	Call(ctx context.Context, call *systembus.Call, results ...any) error
}

// activationAgain is the pause before the bus is asked again.
const activationAgain = time.Second

// activate asks the bus to start the service name. The bus itself waits no longer
// than 25 s (dbus-daemon(1), service_start_timeout), which a board that boots may
// take, and systemd goes on starting it meanwhile: then it is asked again.
func activate(ctx context.Context, bus caller, name string) error {
	ctx, cancel := context.WithTimeout(ctx, ActivationTimeout)
	defer cancel()
	var code uint32
	ask := func() error {
		return bus.Call(ctx, &systembus.Call{
			Object: systembus.Bus, Method: "org.freedesktop.DBus.StartServiceByName", Args: []any{name, uint32(0)},
		}, &code)
	}
	err := ask()
	for isError(err, "org.freedesktop.DBus.Error.TimedOut") && sleep(ctx, activationAgain) {
		err = ask()
	}
	var answer systembus.Error
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
	var e systembus.Error
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
