// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// settleTime is how long signals are awaited that were sent already.
const settleTime = 200 * time.Millisecond

// lookPatience is how long the last look at the unit may take.
const lookPatience = 2 * time.Second

// releasePatience is how long systemd may take to forget a unit.
const releasePatience = 4 * time.Second

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

// unitName is the unit of the run id.
func unitName(id string) string { return UnitPrefix + id + ".service" }

// idOfUnit returns the ID that is in the name of a unit, or "".
func idOfUnit(name string) string {
	id, ok := strings.CutSuffix(strings.TrimPrefix(name, UnitPrefix), ".service")
	if !ok || !strings.HasPrefix(name, UnitPrefix) || !validID.MatchString(id) {
		return ""
	}
	return id
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

// startPriority is the nice value of the exec stage, the agent's own: on one
// core udev's and systemd's work for the stick would come first.
const startPriority = -10

// unitProperties describes the script's unit. None of it refers to
// usbagent.service but After=, which is an order and no bond: at a shutdown
// the script is stopped first, so that the agent still sees its end.
func unitProperties(program, dir string, r record) []property {
	p := func(name string, value any) property { return property{name, dbus.MakeVariant(value)} }
	properties := []property{
		p("Description", unitDescription+r.ID),
		p("Type", "exec"),
		// Up to the shell, which has the usual priority: see startPriority.
		p("Nice", int32(startPriority)),
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

// startPatience is how long the answer to StartTransientUnit is waited for,
// also when the agent has been told to stop: it decides whether the script runs.
const startPatience = 4 * time.Second

// start starts the unit and returns when the exec stage runs or could not be
// started. From the moment that systemd has accepted the unit the script may
// run, and may have stopped the agent: then the end of ctx is no error.
func (s *systemd) start(ctx context.Context, dir string, r record) (life, error) {
	u := &unit{systemd: s, name: unitName(r.ID), dir: dir}
	l, err := s.connect(ctx, u.name)
	if err != nil {
		return nil, err
	}
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), startPatience)
	defer cancel()
	var job dbus.ObjectPath
	err = l.manager(patient, "StartTransientUnit", u.name, jobModeFail, unitProperties(program(), dir, r), []auxiliary{}).Store(&job)
	if err != nil {
		l.close()
		if isError(err, unitExists) {
			err = ErrBusy
		}
		return nil, fmt.Errorf("start %s: %w", u.name, err)
	}
	u.link = l // what it has heard meanwhile is not told again
	result, err := l.jobResult(ctx, job)
	// "failed" is also the result for a script that fails at once.
	if err == nil && result != "done" && !wasExecuted(dir) && readEnding(dir).NotStarted == "" {
		u.release()
		return nil, fmt.Errorf("start %s: its job ended as %q", u.name, result)
	}
	return u, nil
}

// find returns the IDs of the scripts whose units are there, and whether they
// are more than the shell of a unit that was released and has children left.
func (s *systemd) find(ctx context.Context) (map[string]bool, error) {
	l, err := s.connect(ctx, "")
	if err != nil {
		return nil, err
	}
	defer l.close()
	var units []struct {
		Name, Description, Load, Active, Sub, Following string
		Path                                            dbus.ObjectPath
		Job                                             uint32
		JobType                                         string
		JobPath                                         dbus.ObjectPath
	}
	if err := l.manager(ctx, "ListUnitsByPatterns", []string{}, []string{UnitPrefix + "*.service"}).Store(&units); err != nil {
		return nil, fmt.Errorf("look for units of scripts: %w", err)
	}
	found := map[string]bool{}
	for _, u := range units {
		if id := idOfUnit(u.Name); id != "" {
			found[id] = u.Active != "inactive" || u.Job != 0
		}
	}
	return found, nil
}

// unit is a script that runs as a transient unit.
type unit struct {
	systemd *systemd
	name    string
	dir     string
	link    *link // nil until it is needed, and after it broke
	last    state // what was known when a link broke
}

func (u *unit) wait(ctx context.Context, _ func(string)) (ending, error) {
	for {
		end, err := u.follow(ctx)
		if err == nil {
			return end, nil
		}
		if ctx.Err() != nil {
			return u.lastLook(ctx)
		}
		// systemd is not to be reached: it executes itself anew, or shuts down.
		u.close()
		select {
		case <-ctx.Done():
			return ending{}, ctx.Err()
		case <-time.After(reconnectDelay):
		}
	}
}

// lastLook is for an agent that is told to stop at the moment when the script
// has ended, as it is at a shutdown: the end must not be lost. It does not
// wait for one that is to come.
func (u *unit) lastLook(ctx context.Context) (ending, error) {
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookPatience)
	defer cancel()
	if u.link == nil {
		return ending{}, ctx.Err()
	}
	there, err := u.link.read(patient)
	if err != nil || there && !u.link.state.ended() {
		return ending{}, ctx.Err()
	}
	if !there {
		u.link.settle(patient)
	}
	return u.end(patient), nil
}

// follow waits for the end on one connection.
func (u *unit) follow(ctx context.Context) (ending, error) {
	if u.link == nil {
		l, err := u.systemd.connect(ctx, u.name)
		if err != nil {
			return ending{}, err
		}
		u.link = l
		maps.Copy(l.state, u.last)
	}
	l := u.link
	there, err := l.read(ctx)
	for err == nil && there && !l.state.ended() {
		var removed bool
		if removed, err = l.next(ctx); removed {
			there, err = l.read(ctx)
		}
	}
	if err != nil {
		return ending{}, err
	}
	if !there {
		l.settle(ctx)
	}
	return u.end(ctx), nil
}

// end says how the script ended, by the last that was heard of its unit, and
// ends the children of one that ran too long.
func (u *unit) end(ctx context.Context) ending {
	if end := neverExecuted(u.dir); end.NotStarted != "" {
		return end
	}
	exit := u.link.state.exit()
	if exit.TimedOut {
		// KillMode=process spared them. Fails when there are none.
		u.link.manager(ctx, "KillUnit", u.name, "all", int32(9))
	}
	return ending{Exit: exit}
}

func (u *unit) close() {
	if u.link != nil {
		u.last = u.link.state
		u.link.close()
	}
	u.link = nil
}

func (u *unit) release() error {
	u.close()
	ctx, cancel := context.WithTimeout(context.Background(), releasePatience)
	defer cancel()
	l, err := u.systemd.connect(ctx, u.name)
	if err != nil {
		return err
	}
	defer l.close()
	var job dbus.ObjectPath
	err = l.manager(ctx, "StopUnit", u.name, jobModeReplace).Store(&job)
	if err == nil {
		_, err = l.jobResult(ctx, job)
	}
	err = errors.Join(err, l.manager(ctx, "ResetFailedUnit", u.name).Err)
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
