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

// connect opens a connection that ends with ctx. Signals go to handler in the
// order in which they come. The bus has the given time to let us in. Descriptors are not accepted on it: any local user
// may send signals, and every descriptor in one would stay open here.
func connect(ctx context.Context, address string, timeout time.Duration, handler dbus.SignalHandler) (*dbus.Conn, error) {
	var errs []error
	for one := range strings.SplitSeq(address, ";") {
		conn, err := connectOne(ctx, one, timeout, handler)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("connect to the system bus: %w", errors.Join(errs...))
}

func connectOne(ctx context.Context, address string, timeout time.Duration, handler dbus.SignalHandler) (*dbus.Conn, error) {
	path, err := socketPath(address)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: timeout}
	socket, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	conn, err := dbus.NewConn(socket, dbus.WithContext(ctx), dbus.WithSignalHandler(handler))
	if err != nil {
		socket.Close()
		return nil, err
	}
	// A bus that accepts and then says nothing ends here.
	timer := time.AfterFunc(timeout, func() { conn.Close() })
	defer timer.Stop()
	err = conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
	if err == nil {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return conn, nil
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
	*dbus.Conn
	timeout time.Duration
}

// call calls a method and stores what it returns.
func (b bus) call(ctx context.Context, object dbus.BusObject, method string, args []any, results ...any) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	if err := object.CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...).Store(results...); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// rootOwner returns the unique name of name's owner, which must be root; the
// bus is asked to start it where nobody has the name. errNoOwner where it
// cannot; ErrDistrusted where it is another user's.
func (b bus) rootOwner(ctx context.Context, name string) (string, error) {
	daemon := b.BusObject()
	var owner string
	err := b.call(ctx, daemon, "org.freedesktop.DBus.GetNameOwner", []any{name}, &owner)
	if isError(err, "org.freedesktop.DBus.Error.NameHasNoOwner") {
		if err := activate(ctx, daemon, name); err != nil {
			return "", err
		}
		err = b.call(ctx, daemon, "org.freedesktop.DBus.GetNameOwner", []any{name}, &owner)
	}
	if err != nil {
		return "", err
	}
	var uid uint32
	if err := b.call(ctx, daemon, "org.freedesktop.DBus.GetConnectionUnixUser", []any{owner}, &uid); err != nil {
		return "", err
	}
	if uid != 0 {
		return "", fmt.Errorf("%s belongs to uid %d: %w", name, uid, ErrDistrusted)
	}
	return owner, nil
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

// noSignals is the handler of connections that want none.
type noSignals struct{}

func (noSignals) DeliverSignal(string, string, *dbus.Signal) {}
