// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/internal/systembus"
)

// privateAddress is where systemd itself answers root, without a message bus
// in between: a script may restart dbus, and a board may do without.
const privateAddress = "unix:path=/run/systemd/private"

// unitDescription says what a unit is for, before and while a script runs in it.
const unitDescription = "Runs the next script from a USB stick"

// lookEvery is how often systemd is asked about a unit that somebody else started.
const lookEvery = time.Second

// stopPatience is how long systemd may take to answer about a unit that is no
// longer needed, or whose processes are to be ended.
const stopPatience = 2 * time.Second

// answerPatience is how long systemd may take to let us in and to say which units
// there are, or what one does. A systemd that has stopped for good (it "freezes
// execution") leaves its name on the bus.
const answerPatience = 20 * time.Second

// The names of systemd's D-Bus interface, org.freedesktop.systemd1(5).
const (
	systemdName    = "org.freedesktop.systemd1"
	systemdPath    = systembus.ObjectPath("/org/freedesktop/systemd1")
	managerCalls   = "org.freedesktop.systemd1.Manager."
	unitInterface  = "org.freedesktop.systemd1.Unit"
	serviceIface   = "org.freedesktop.systemd1.Service"
	propertyCalls  = "org.freedesktop.DBus.Properties."
	noSuchUnit     = "org.freedesktop.systemd1.NoSuchUnit"
	unitNotLoaded  = "org.freedesktop.systemd1.UnitNotLoaded"
	processGone    = "org.freedesktop.systemd1.NoSuchProcess"
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

// unitName is the unit that the word names.
func unitName(word string) string { return UnitPrefix + word + ".service" }

// wordOfUnit returns the word that names a unit, or "".
func wordOfUnit(name string) string {
	word, ok := strings.CutSuffix(strings.TrimPrefix(name, UnitPrefix), ".service")
	if !ok || !strings.HasPrefix(name, UnitPrefix) || !validID(word) {
		return ""
	}
	return word
}

// startPriority is the nice value of the supervising process, the agent's own:
// on one core udev's and systemd's work for the stick would come first.
const startPriority = -10

// unitProperties describes the unit of the next script, whose process reports at
// the path socket. None of it refers to usbagent.service but After=, which is an
// order and no bond: at a shutdown the script is stopped first, so that the agent
// still sees its end.
func unitProperties(program, socket string) systembus.Array {
	p := func(name string, value any) systembus.Struct {
		return systembus.Struct{name, systembus.Variant{Value: value}}
	}
	command := systembus.Struct{program, []string{"usbagent", SupervisorCommand, "unit", socket}, false}
	return systembus.Array{Element: "(sv)", Values: []any{
		p("Description", unitDescription),
		p("Type", "exec"),
		// The supervising process alone: the script has the usual priority.
		p("Nice", int32(startPriority)),
		p("ExecStart", systembus.Array{Element: "(sasb)", Values: []any{command}}),
		// The same: without it nobody knew how the script ended.
		p("OOMScoreAdjust", int32(-500)),
		// How it ended is in the run directory.
		p("CollectMode", "inactive-or-failed"),
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
	}}
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

// start asks for the unit name and returns when systemd has accepted it.
func (s *systemd) start(ctx context.Context, name, socket string) error {
	l, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	var job systembus.ObjectPath
	auxiliary := systembus.Array{Element: "(sa(sv))"} // units: none
	if err := l.manager(ctx, "StartTransientUnit", []any{name, jobModeFail, unitProperties(program(), socket), auxiliary}, &job); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}

// find returns the names of the units of scripts in which something runs, or
// waits to. One that is loaded only because of children that a script left is not.
func (s *systemd) find(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	l, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer l.close()
	var units []any
	if err := l.manager(ctx, "ListUnitsByPatterns", []any{[]string{}, []string{UnitPrefix + "*.service"}}, &units); err != nil {
		return nil, fmt.Errorf("look for units of scripts: %w", err)
	}
	var found []string
	for _, u := range units {
		var name, description, load, active, sub, following, jobType string
		var path, jobPath systembus.ObjectPath
		var job uint32
		fields, _ := u.(systembus.Struct)
		if err := systembus.Store(fields, &name, &description, &load, &active, &sub, &following, &path, &job, &jobType, &jobPath); err != nil {
			return nil, fmt.Errorf("look for units of scripts: %w", err)
		}
		if wordOfUnit(name) != "" && (active != "inactive" && active != "failed" || job != 0) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found, nil
}

// look asks for the state of a unit; nil where there is no such unit.
func (s *systemd) look(ctx context.Context, name string) (state, error) {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	l, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer l.close()
	return l.read(ctx, name)
}

// runs reports whether the main process of a unit is there. systemd may not have
// heard yet that one has ended.
func (s *systemd) runs(ctx context.Context, name string) (bool, error) {
	st, err := s.look(ctx, name)
	if err != nil {
		return false, err
	}
	pid, _ := st["MainPID"].(uint32)
	fields, err := processFields(int(pid))
	if err != nil {
		return false, nil
	}
	flags, err := strconv.ParseUint(fields[6], 10, 32)
	return err == nil && flags&exiting == 0, nil
}

// processFields are those of /proc/PID/stat from the third on, the state
// (proc(5)); at least seven.
func processFields(pid int) ([]string, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // a name may hold anything
	if len(fields) < 7 {
		return nil, fmt.Errorf("process %d: its state cannot be read", pid)
	}
	return fields, nil
}

// exiting is set in the flags of a process, field 9 of /proc/PID/stat, from the
// moment that it begins to end (PF_EXITING in the kernel's linux/sched.h), which
// is before its descriptors are closed.
const exiting = 0x4

// stop ends what waits in a unit and forgets it; it does not wait for that.
func (s *systemd) stop(name string) error {
	return s.tell(name, func(ctx context.Context, l *link) error {
		var job systembus.ObjectPath
		err := l.manager(ctx, "StopUnit", []any{name, jobModeReplace}, &job)
		return errors.Join(err, l.manager(ctx, "ResetFailedUnit", []any{name}))
	})
}

// end is stop, and waits until the main process has ended, for exitPatience at
// most: whoever looks next must not take it for a script.
func (s *systemd) end(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, exitPatience)
	defer cancel()
	err := s.stop(name)
	for there := true; there && err == nil && ctx.Err() == nil; {
		if there, err = s.runs(ctx, name); there {
			time.Sleep(10 * stopEvery)
		}
	}
	return err
}

// kill sends a signal to the processes of a unit: "main" or "all" of them.
func (s *systemd) kill(name, whom string, signal unix.Signal) error {
	return s.tell(name, func(ctx context.Context, l *link) error {
		return l.manager(ctx, "KillUnit", []any{name, whom, int32(signal)})
	})
}

// tell does something with a unit that may be gone already.
func (s *systemd) tell(name string, what func(context.Context, *link) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	l, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	if err := what(ctx, l); err != nil && !isError(err, noSuchUnit, unitNotLoaded, processGone) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// orphan is a unit that this agent cannot talk with: its private directory was
// lost, or an agent of another version started it.
type orphan struct {
	systemd *systemd
	name    string
	dir     string
}

// wait asks systemd until it says that the unit's main process has ended.
func (o *orphan) wait(ctx context.Context, _ func(string)) (ending, error) {
	var last state
	for {
		there, err := o.systemd.look(ctx, o.name)
		if there != nil {
			last = there
		}
		if err == nil && (there == nil || there.ended()) {
			if end := readEnding(o.dir); !end.Unknown || last == nil {
				return end, nil
			}
			return ending{Exit: last.exit()}, nil
		}
		select { // also where systemd is not to be reached: it executes itself anew, or shuts down
		case <-ctx.Done():
			return ending{}, ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

func (o *orphan) release() error { return o.systemd.stop(o.name) }

func isError(err error, names ...string) bool {
	var e systembus.Error
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
