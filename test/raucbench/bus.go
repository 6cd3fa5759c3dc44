// SPDX-License-Identifier: GPL-3.0-or-later

// Package raucbench puts the real RAUC service on a private bus with slots
// that are plain files, so that bundles are really installed on any machine:
// for tests, and for the demonstration. Everything it makes lies in the given
// directory, and every process it starts ends with Stop, or with this one.
//
//	bench, err := raucbench.Start(raucbench.Options{Dir: dir})
//	defer bench.Stop()
//	image, err := bench.Bundle(raucbench.Bundle{Version: "2"})
//	// bench.Bus.Address is the D-Bus address, bench.Conf RAUC's configuration
//
// It is no board: it has no boot loader but a shell script, and bundles of the
// verity format install only where the kernel has device-mapper.
package raucbench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// StartTimeout is how long a service may take to appear.
const StartTimeout = 20 * time.Second

// busConfig lets everybody do everything, as the policy that comes with RAUC
// does for RAUC's name.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  %s
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
`

// Bus is a private message bus.
type Bus struct {
	Address string // as in DBUS_SYSTEM_BUS_ADDRESS
	dir     string
	process *process
}

// StartBus starts a private dbus-daemon. Its socket lies in a short directory
// of its own that other users can reach. activation, if not empty, is a
// directory with .service files.
func StartBus(activation string) (*Bus, error) {
	dir, err := os.MkdirTemp("", "usbagent-bus-")
	if err != nil {
		return nil, fmt.Errorf("start bus: %w", err)
	}
	b := &Bus{Address: "unix:path=" + filepath.Join(dir, "socket"), dir: dir}
	if err := b.start(activation); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("start bus: %w", err)
	}
	return b, nil
}

func (b *Bus) start(activation string) error {
	socket, config := filepath.Join(b.dir, "socket"), filepath.Join(b.dir, "bus.conf")
	services := ""
	if activation != "" {
		services = "<servicedir>" + activation + "</servicedir>"
	}
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, socket, services), 0o644); err != nil {
		return err
	}
	log := filepath.Join(b.dir, "log")
	p, err := start(log, []string{"DBUS_SYSTEM_BUS_ADDRESS=" + b.Address},
		"dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile", "--nosyslog")
	if err != nil {
		return err
	}
	b.process = p
	// The socket is there a moment before somebody listens on it.
	return p.until(func() bool {
		conn, err := b.Dial()
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, "answer")
}

// Stop ends the bus.
func (b *Bus) Stop() {
	b.process.stop()
	os.RemoveAll(b.dir)
}

// Env is what a program needs in its environment to use the bus.
func (b *Bus) Env() []string { return []string{"DBUS_SYSTEM_BUS_ADDRESS=" + b.Address} }

// Dial connects to the bus.
func (b *Bus) Dial(options ...dbus.ConnOption) (*dbus.Conn, error) {
	return dbus.Connect(b.Address, options...)
}

// DialAs connects to the bus as another user. It needs root.
func (b *Bus) DialAs(uid int) (*dbus.Conn, error) {
	type answer struct {
		conn *dbus.Conn
		err  error
	}
	c := make(chan answer)
	go func() {
		// The bus takes the user from the socket, so the thread that connects
		// must be that user. It ends with this goroutine, since it stays locked.
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			c <- answer{nil, errno}
			return
		}
		conn, err := dbus.Connect(b.Address, dbus.WithAuth(dbus.AuthExternal(fmt.Sprint(uid))))
		c <- answer{conn, err}
	}()
	a := <-c
	if a.err != nil {
		return nil, fmt.Errorf("connect as uid %d: %w", uid, a.err)
	}
	return a.conn, nil
}

// hasOwner reports whether somebody on the bus has the name.
func (b *Bus) hasOwner(name string) bool {
	conn, err := b.Dial()
	if err != nil {
		return false
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var owned bool
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned)
	return err == nil && owned
}
