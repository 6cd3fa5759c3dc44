// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// privateAddress is where systemd itself answers root, without a message bus
// in between: a script may restart dbus, and a board may do without.
const privateAddress = "unix:path=/run/systemd/private"

// unitDescription is followed by the ID of the run.
const unitDescription = "Script from a USB stick, run "

// reconnectDelay is how long to wait before systemd is asked again after the
// connection broke (daemon-reexec closes it).
const reconnectDelay = time.Second

// The names of systemd's D-Bus interface, org.freedesktop.systemd1(5).
const (
	systemdName    = "org.freedesktop.systemd1"
	systemdPath    = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerCalls   = "org.freedesktop.systemd1.Manager."
	unitInterface  = "org.freedesktop.systemd1.Unit"
	serviceIface   = "org.freedesktop.systemd1.Service"
	propertyCalls  = "org.freedesktop.DBus.Properties."
	noSuchUnit     = "org.freedesktop.systemd1.NoSuchUnit"
	unitExists     = "org.freedesktop.systemd1.UnitExists"
	unitNotLoaded  = "org.freedesktop.systemd1.UnitNotLoaded"
	jobModeFail    = "fail" // never cancels a shutdown that has begun
	jobModeReplace = "replace"
)

// systemd is the init system's D-Bus interface.
type systemd struct {
	addresses []string // tried in this order
}

func busAddress() string {
	if address := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); address != "" {
		return address
	}
	return "unix:path=/run/dbus/system_bus_socket"
}

type property struct {
	Name  string
	Value dbus.Variant
}

type auxiliary struct {
	Name       string
	Properties []property
}

type execCommand struct {
	Path   string
	Args   []string
	Ignore bool
}

// unitProperties describes the script's unit. None of it refers to
// usbagent.service but After=, which is an order and no bond: at a shutdown
// the script is stopped first, so that the agent still sees its end.
func unitProperties(program, dir string, r record) []property {
	p := func(name string, value any) property { return property{name, dbus.MakeVariant(value)} }
	properties := []property{
		p("Description", unitDescription+r.ID),
		p("Type", "exec"),
		p("ExecStart", []execCommand{{program, []string{"usbagent", SupervisorCommand, "exec", dir}, false}}),
		// The exit status stays readable for an agent that comes later.
		p("RemainAfterExit", true),
		// Background children outlive the script.
		p("KillMode", "process"),
		// A child that the kernel's OOM killer ends does not end the script.
		p("OOMPolicy", "continue"),
		p("StandardInput", "null"),
		p("StandardOutput", "journal"),
		p("StandardError", "journal"),
		p("SyslogIdentifier", SyslogIdentifier),
		p("LogRateLimitIntervalUSec", uint64(0)),
		p("After", []string{"usbagent.service"}),
	}
	if r.Timeout > 0 {
		properties = append(properties,
			p("RuntimeMaxUSec", uint64(r.Timeout/time.Microsecond)),
			p("TimeoutStopUSec", uint64(killDelay/time.Microsecond)))
	}
	return properties
}

// program returns a path by which systemd can execute this very program.
func program() string {
	path, err := os.Executable()
	if err == nil {
		here, err1 := os.Stat("/proc/self/exe")
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(here, there) {
			return path
		}
	}
	// The file was replaced or removed (an update of the agent); its inode is still there.
	return filepath.Join("/proc", strconv.Itoa(os.Getpid()), "exe")
}

// start starts the unit and returns when the shell was executed or could not be.
func (s *systemd) start(ctx context.Context, dir string, r record) (life, error) {
	l, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer l.close()
	var job dbus.ObjectPath
	err = l.manager(ctx, "StartTransientUnit", UnitName, jobModeFail, unitProperties(program(), dir, r), []auxiliary{}).Store(&job)
	if isError(err, unitExists) {
		return nil, fmt.Errorf("start %s: %w", UnitName, ErrBusy)
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", UnitName, err)
	}
	u := &unit{systemd: s, id: r.ID, dir: dir}
	result, err := l.jobResult(ctx, job)
	if err == nil && result != "done" && readEnding(dir).NotStarted == "" {
		err = fmt.Errorf("start %s: its job ended as %q", UnitName, result)
	}
	if err != nil {
		u.release()
		return nil, err
	}
	return u, nil
}

// find returns the ID of the script whose unit is there, or "".
func (s *systemd) find(ctx context.Context) (string, error) {
	l, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	defer l.close()
	state, err := l.read(ctx)
	if err != nil || state == nil {
		return "", err
	}
	return idFromDescription(state.text("Description")), nil
}

// unit is a script that runs as UnitName.
type unit struct {
	systemd *systemd
	id      string
	dir     string
}

func (u *unit) wait(ctx context.Context, _ func(string)) (ending, error) {
	var last state
	for {
		end, ended, err := u.follow(ctx, &last)
		if ended {
			return end, nil
		}
		if ctx.Err() != nil {
			return ending{}, ctx.Err()
		}
		_ = err // systemd is not to be reached: it executes itself anew, or shuts down
		select {
		case <-ctx.Done():
			return ending{}, ctx.Err()
		case <-time.After(reconnectDelay):
		}
	}
}

// follow waits on one connection. last is what was known of the unit, also
// from an earlier connection.
func (u *unit) follow(ctx context.Context, last *state) (ending, bool, error) {
	l, err := u.systemd.connect(ctx)
	if err != nil {
		return ending{}, false, err
	}
	defer l.close()
	for {
		now, err := l.read(ctx)
		if err != nil {
			return ending{}, false, err
		}
		if now == nil || idFromDescription(now.text("Description")) != u.id {
			return u.gone(*last), true, nil
		}
		*last = now
		for !last.ended() {
			removed, err := l.next(ctx, *last)
			if err != nil {
				return ending{}, false, err
			}
			if removed {
				break
			}
		}
		if last.ended() {
			return u.end(ctx, l, *last), true, nil
		}
	}
}

// gone judges a unit that is not there any more by the last that was known.
func (u *unit) gone(last state) ending {
	if end := readEnding(u.dir); end.NotStarted != "" {
		return end
	}
	if last != nil && last.number("ExecMainCode") != 0 {
		return ending{Exit: last.exit()}
	}
	return ending{Exit: Exit{Unknown: true}}
}

// end says how the script ended, and ends the children of one that ran too long.
func (u *unit) end(ctx context.Context, l *link, last state) ending {
	end := u.gone(last)
	if end.TimedOut {
		// KillMode=process spared them. Fails when there are none.
		l.manager(ctx, "KillUnit", UnitName, "all", int32(9))
	}
	return end
}

func (u *unit) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	l, err := u.systemd.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	state, err := l.read(ctx)
	if err != nil || state == nil || idFromDescription(state.text("Description")) != u.id {
		return err
	}
	var job dbus.ObjectPath
	err = l.manager(ctx, "StopUnit", UnitName, jobModeReplace).Store(&job)
	if err == nil {
		_, err = l.jobResult(ctx, job)
	}
	if reset := l.manager(ctx, "ResetFailedUnit", UnitName).Err; reset != nil && !isError(reset, noSuchUnit, unitNotLoaded) {
		err = errors.Join(err, reset)
	}
	if isError(err, noSuchUnit, unitNotLoaded) {
		return nil
	}
	return err
}

func isError(err error, names ...string) bool {
	var e dbus.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, name := range names {
		if e.Name == name || strings.HasPrefix(e.Name, name+".") {
			return true
		}
	}
	return false
}
