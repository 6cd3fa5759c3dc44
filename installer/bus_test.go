// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"usbagent/test/need"
	"usbagent/test/raucbench"
)

// TestActivation: RAUC does not run and is started by the bus.
func TestActivation(t *testing.T) {
	b := raucbench.For(t, raucbench.Options{})
	b.StopService()
	dir := t.TempDir()
	service := "[D-BUS Service]\nName=" + raucName + "\nExec=" + need.Tool(t, "rauc") + " --conf=" + b.Conf + " service --override-boot-slot=A\nUser=root\n"
	if err := os.WriteFile(filepath.Join(dir, raucName+".service"), []byte(service), 0o644); err != nil {
		t.Fatal(err)
	}
	bus, err := raucbench.StartBus(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Stop()
	r := NewRAUC(RAUCOptions{BusAddress: bus.Address, SystemConf: b.Conf})
	if system, err := r.System(soon(t)); err != nil || len(system.Slots) != 2 {
		t.Errorf("System = %+v, %v", system, err)
	}
}

// TestBusTrouble: no bus, and one that accepts and says nothing, end in an
// error and not in waiting.
func TestBusTrouble(t *testing.T) {
	r := NewRAUC(RAUCOptions{BusAddress: "unix:path=/nonexistent"})
	if _, err := r.System(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no bus: %v, want ErrUnavailable", err)
	}
	if _, err := r.WaitIdle(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no bus: %v, want ErrUnavailable", err)
	}
	r = NewRAUC(RAUCOptions{BusAddress: silent(t)})
	r.limits.connect = 200 * time.Millisecond
	start := time.Now()
	_, err := r.System(t.Context())
	if !errors.Is(err, ErrUnavailable) || time.Since(start) > 5*time.Second {
		t.Errorf("a silent bus: %v after %v, want the end of ConnectTimeout", err, time.Since(start))
	}
}

// TestFrozenRAUC: the service has its name and answers nothing.
func TestFrozenRAUC(t *testing.T) {
	b := raucbench.For(t, raucbench.Options{})
	path, info := image(t, b, raucbench.Bundle{Version: "2"})
	r := forBench(b)
	r.limits.call, r.limits.stall = 300*time.Millisecond, time.Second
	thaw, err := b.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := r.Install(soon(t), path, InstallOptions{}, nil); !errors.Is(err, ErrUnclear) || time.Since(start) > 5*time.Second {
		t.Errorf("Install = %v after %v, want ErrUnclear after CallTimeout", err, time.Since(start))
	}
	if _, err := r.WaitIdle(soon(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitIdle = %v", err)
	}
	thaw()
	// What was asked before goes on now; it is waited for and looked at.
	if result, err := Run(soon(t), r, Job{Path: path, Info: info}); err != nil || result.Decision.Action == Refuse || b.Primary() != "B" {
		t.Errorf("Run = %+v, %v, primary %s", result, err, b.Primary())
	}
}

// silent is a bus that accepts connections and never says a word.
func silent(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "silent-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return "unix:path=" + filepath.Join(dir, "s")
}

// TestNoDescriptors: any local user may send us signals; descriptors in them
// would stay open.
func TestNoDescriptors(t *testing.T) {
	bus, _, _ := newMachine(t, 0)
	conn, err := connect(soon(t), bus.Address, ConnectTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	other, err := bus.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	err = other.Object(conn.Name(), "/").Call("any.interface.Method", 0, dbus.UnixFD(0)).Err
	if !isGodbusError(err, "org.freedesktop.DBus.Error.NotSupported") {
		t.Errorf("a descriptor that is sent to the connection: %v", err)
	}
}

// isGodbusError is isError of the other side.
func isGodbusError(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == name
}

// TestActivationFails: the bus knows nobody for the name, or cannot start him.
func TestActivationFails(t *testing.T) {
	need.Root(t)
	need.Tool(t, "dbus-daemon")
	dir := t.TempDir()
	service := "[D-BUS Service]\nName=" + raucName + "\nExec=/bin/false\nUser=root\n"
	if err := os.WriteFile(filepath.Join(dir, raucName+".service"), []byte(service), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, services := range []string{"", dir} {
		bus, err := raucbench.StartBus(services)
		if err != nil {
			t.Fatal(err)
		}
		defer bus.Stop()
		if _, err := shortened(bus).System(soon(t)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("services %q: %v, want ErrUnavailable", services, err)
		}
	}
}
