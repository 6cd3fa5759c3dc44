// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"usbagent/internal/systembus"
)

// D-Bus names of systemd (org.freedesktop.systemd1(5), org.freedesktop.login1(5)).
const (
	systemdName    = "org.freedesktop.systemd1"
	systemdPath    = "/org/freedesktop/systemd1"
	systemdManager = "org.freedesktop.systemd1.Manager"
	logindName     = "org.freedesktop.login1"
	logindPath     = "/org/freedesktop/login1"
	logindManager  = "org.freedesktop.login1.Manager"
)

// BootPoll is how often systemd is asked whether the boot has finished.
const BootPoll = 2 * time.Second

// RebootTimeout is how long each way to ask for a reboot may take.
const RebootTimeout = 30 * time.Second

// ErrShuttingDown means that the machine goes down and nothing must be begun.
var ErrShuttingDown = errors.New("the machine is shutting down")

// MachineOptions says how to reach the service manager.
type MachineOptions struct {
	// BusAddress of the system bus; "" for DBUS_SYSTEM_BUS_ADDRESS or the
	// usual one. Where either is set, nothing but that bus is asked: a bench
	// never reboots the machine it runs on.
	BusAddress string
	// RebootCommand replaces every other way to reboot.
	RebootCommand []string
}

// Machine is the running machine: has it booted, does it go down, reboot it.
type Machine struct {
	o             MachineOptions
	poll          time.Duration
	connect, call time.Duration
	spare         *spare

	mu     sync.Mutex
	good   time.Time // when it was last asked whether it is confirmed, and was; zero: not known
	marked bool      // the boot had finished and MarkGoodUnit had nothing left to do, which stays so
}

// NewMachine connects to nothing yet.
func NewMachine(o MachineOptions) *Machine {
	return &Machine{o: o, poll: BootPoll, connect: ConnectTimeout, call: CallTimeout, spare: &spare{}}
}

// own reports whether the machine is the real one, not a bench's.
func (m *Machine) own() bool {
	_, chosen := busAddress(m.o.BusAddress)
	return !chosen
}

// hasSystemd reports whether systemd runs the machine (sd_booted(3)).
func hasSystemd() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// BootFinished returns when systemd says that the boot has finished, at once
// where there is no systemd, with ErrShuttingDown when the machine goes down,
// or with an error when ctx ends.
func (m *Machine) BootFinished(ctx context.Context) error {
	last := "unknown"
	for {
		state, err := m.state(ctx)
		if err == nil {
			last = state
		}
		switch {
		case err == nil && state == "stopping":
			return fmt.Errorf("wait until the boot has finished: %w", ErrShuttingDown)
		case err == nil && bootHasFinished(state):
			return nil
		case errors.Is(err, errNoOwner), err != nil && m.own() && !hasSystemd():
			return nil
		}
		if !sleep(ctx, m.poll) {
			return fmt.Errorf("wait until the boot has finished (system is %q): %w", last, errors.Join(context.Cause(ctx), err))
		}
	}
}

// bootHasFinished reports whether a SystemState is of a machine that runs.
func bootHasFinished(state string) bool {
	return state != "initializing" && state != "starting" && state != "stopping"
}

// state returns systemd's SystemState.
func (m *Machine) state(ctx context.Context) (state string, err error) {
	err = m.with(ctx, systemdName, func(ctx context.Context, b bus, owner string) (err error) {
		state, err = b.state(ctx, owner)
		return err
	})
	return state, err
}

// state is state of the systemd whose name on the bus is owner.
func (b bus) state(ctx context.Context, owner string) (string, error) {
	q := b.question(owner, systemdPath, systemdManager, "SystemState")
	b.askAll(ctx, q)
	state, _ := q.value().(string)
	return state, q.err
}

// question asks for one property of what has the name owner on the bus.
func (b bus) question(owner string, path systembus.ObjectPath, of, property string) *question {
	return &question{object: systembus.Object{Name: owner, Path: path}, method: properties + ".Get", args: []any{of, property}, results: []any{new(any)}}
}

// value is that of the property that was asked for.
func (q *question) value() any { return *q.results[0].(*any) }

// with calls f with a connection and the owner of name.
func (m *Machine) with(ctx context.Context, name string, f func(context.Context, bus, string) error) error {
	return m.connected(ctx, func(b bus) error {
		owner, err := b.rootOwner(ctx, name)
		if err != nil {
			return err
		}
		return f(ctx, b, owner)
	})
}

// connected calls f with a connection.
func (m *Machine) connected(ctx context.Context, f func(bus) error) error {
	address, _ := busAddress(m.o.BusAddress)
	l, err := m.spare.open(ctx, address, m.connect)
	if err != nil {
		return err
	}
	defer m.spare.giveBack(l)
	return f(bus{l, m.call})
}

// ShuttingDown reports whether the machine goes down. Where nobody can tell,
// it does not. In the same breath it asks what confirmed wants to know and does
// not know yet, which then counts for SeenFor: systemd answers late while it takes
// in a new disk, and each question later than the one before.
func (m *Machine) ShuttingDown(ctx context.Context) (down bool) {
	m.sure(time.Time{})
	m.connected(ctx, func(b bus) error {
		owners, _ := b.rootOwners(ctx, systemdName, logindName)
		if owners[0] == "" {
			return nil
		}
		asked, marked := time.Now(), m.isMarked()
		state := b.question(owners[0], systemdPath, systemdManager, "SystemState")
		load := b.question(owners[0], markGoodPath, systemdUnit, "LoadState")
		active := b.question(owners[0], markGoodPath, systemdUnit, "ActiveState")
		questions := []*question{state, load, active}
		if marked {
			questions = questions[:1]
		}
		if owners[1] != "" {
			questions = append(questions, b.question(owners[1], logindPath, logindManager, "PreparingForShutdown"))
		}
		b.askAll(ctx, questions...)
		for _, q := range questions {
			down = down || q.err == nil && (q == state && q.value() == "stopping" || q.value() == true)
		}
		if !marked && errors.Join(load.err, active.err) == nil {
			u := unit{}
			u.load, _ = load.value().(string)
			u.active, _ = active.value().(string)
			marked = u.load == "not-found" || u.load == "loaded" && u.active == "active"
		}
		text, told := state.value().(string)
		if state.err == nil && told && bootHasFinished(text) && marked && !down {
			m.mark()
			m.sure(asked)
		}
		return nil
	})
	return down
}

// Greet connects to the bus, so that the first question that follows within
// KeptFor need not.
func (m *Machine) Greet(ctx context.Context) {
	_ = m.connected(ctx, func(b bus) error {
		b.rootOwners(ctx, systemdName, logindName) // who they belong to is remembered
		return nil
	})
}

// Reboot asks logind, else systemd, else the program reboot to restart the
// machine. It returns when the request was taken, long before the machine is down.
func (m *Machine) Reboot(ctx context.Context) error {
	if len(m.o.RebootCommand) != 0 {
		return m.rebootBy(ctx, m.o.RebootCommand)
	}
	err := m.ask(ctx, logindName, logindPath, logindManager+".Reboot", false)
	if err == nil {
		return nil
	}
	errs := []error{err}
	if err = m.ask(ctx, systemdName, systemdPath, systemdManager+".Reboot"); err == nil {
		return nil
	}
	errs = append(errs, err)
	if m.own() {
		if err = m.rebootBy(ctx, []string{"reboot"}); err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("reboot: %w", errors.Join(errs...))
}

// ask calls a method of a service that root owns.
func (m *Machine) ask(ctx context.Context, name string, path systembus.ObjectPath, method string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, RebootTimeout)
	defer cancel()
	return m.with(ctx, name, func(ctx context.Context, b bus, owner string) error {
		return b.call(ctx, systembus.Object{Name: owner, Path: path}, method, args)
	})
}

func (m *Machine) rebootBy(ctx context.Context, argv []string) error {
	ctx, cancel := context.WithTimeout(ctx, RebootTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = toolWaitDelay
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("reboot by %s: %w: %s", argv[0], err, lastLine(out))
	}
	return nil
}
