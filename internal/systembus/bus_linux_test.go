// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"usbagent/test/need"
	"usbagent/test/raucbench"
)

// onBus starts a dbus-daemon, and returns it with a connection of ours.
func onBus(t *testing.T, signals func(*Signal)) (*raucbench.Bus, *Conn) {
	t.Helper()
	need.Tool(t, "dbus-daemon")
	bus, err := raucbench.StartBus("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Stop)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// The first part names nothing that is there.
	c, err := Dial(ctx, "tcp:host=localhost;unix:path=/nonexistent;"+bus.Address+",guid=00", Options{Signals: signals})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return bus, c
}

// mirror is an object of godbus that gives back what it was given.
type mirror struct{}

func (mirror) Give(args map[string]dbus.Variant, list []string, n uint32, path dbus.ObjectPath) (map[string]dbus.Variant, []string, uint32, dbus.ObjectPath, *dbus.Error) {
	return args, list, n, path, nil
}

func (mirror) Fail(text string) *dbus.Error {
	return dbus.NewError("test.Error.Of.Ours", []any{text, uint32(1)})
}

// TestBus: a real bus lets us in, and passes on calls, answers and signals.
func TestBus(t *testing.T) {
	signals := make(chan *Signal, 100)
	bus, c := onBus(t, func(s *Signal) { signals <- s })
	theirs, err := bus.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if err := theirs.Export(mirror{}, "/mirror", "test.Mirror"); err != nil {
		t.Fatal(err)
	}
	object := Object{theirs.Names()[0], "/mirror"}
	var dict map[string]any
	var list []any
	var n uint32
	var path ObjectPath
	args := map[string]any{"a": "b", "n": uint64(5), "l": []string{"x"}}
	if err := c.Call(t.Context(), &Call{Object: object, Method: "test.Mirror.Give", Args: []any{args, []string{"one", "two"}, uint32(3), ObjectPath("/p")}}, &dict, &list, &n, &path); err != nil ||
		dict["a"] != "b" || dict["n"] != uint64(5) || fmt.Sprint(dict["l"], list) != "[x] [one two]" || n != 3 || path != "/p" {
		t.Errorf("%v %v %v %v, %v", dict, list, n, path, err)
	}
	for method, want := range map[string]Error{
		"test.Mirror.Fail": {"test.Error.Of.Ours", "words"},
		"test.Mirror.None": {"org.freedesktop.DBus.Error.UnknownMethod", ""},
	} {
		var got Error
		if err := c.Call(t.Context(), &Call{Object: object, Method: method, Args: []any{"words"}}); !errors.As(err, &got) || got.Name != want.Name || want.Message != "" && got != want {
			t.Errorf("%s: %v, want %v", method, err, want)
		}
	}
	if err := c.Call(t.Context(), &Call{Object: Bus, Method: Bus.Name + ".AddMatch", Args: []any{"type='signal',sender='" + object.Name + "'"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		theirs.Emit("/mirror", "test.Mirror.Signal", int32(i), map[string]dbus.Variant{"i": dbus.MakeVariant(int32(i))})
	}
	for i := range 50 {
		s := nextSignal(t, signals, "test.Mirror.Signal")
		if s.Sender != object.Name || s.Path != "/mirror" || s.Body[0] != int32(i) || s.Body[1].(map[string]any)["i"] != int32(i) {
			t.Fatalf("signal %d: %+v", i, s)
		}
	}
	rule := "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" + object.Name + "'"
	if err := c.Call(t.Context(), &Call{Object: Bus, Method: Bus.Name + ".AddMatch", Args: []any{rule}}); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if s := nextSignal(t, signals, Bus.Name+".NameOwnerChanged"); s.Sender != Bus.Name || fmt.Sprint(s.Body) != fmt.Sprintf("[%s %s ]", object.Name, object.Name) {
		t.Errorf("%+v", s)
	}
	bus.Stop()
	select {
	case <-c.Done():
	case <-time.After(10 * time.Second):
		t.Error("the end of the bus was not seen")
	}
}

// nextSignal returns the next signal of that name.
func nextSignal(t *testing.T, signals <-chan *Signal, name string) *Signal {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case s := <-signals:
			if s.Name == name {
				return s
			}
		case <-late:
			t.Fatalf("no %s", name)
		}
	}
}

// TestNoAutoStart: the bus starts a service for a call, unless the call says no.
func TestNoAutoStart(t *testing.T) {
	need.Tool(t, "dbus-daemon")
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	service := "[D-BUS Service]\nName=test.Service\nExec=" + need.Tool(t, "touch") + " " + started + "\nUser=root\n"
	if err := os.WriteFile(filepath.Join(dir, "test.Service.service"), []byte(service), 0o644); err != nil {
		t.Fatal(err)
	}
	bus, err := raucbench.StartBus(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Stop()
	c, err := Dial(t.Context(), bus.Address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	call := func(not bool) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // this one never takes its name
		defer cancel()
		return c.Call(ctx, &Call{Object: Object{"test.Service", "/"}, Method: "test.Service.M", NoAutoStart: not})
	}
	var answer Error
	if err := call(true); !errors.As(err, &answer) || answer.Name != "org.freedesktop.DBus.Error.NameHasNoOwner" {
		t.Errorf("not to be started: %v", err)
	}
	if _, err := os.Stat(started); err == nil {
		t.Error("started all the same")
	}
	for end := time.Now().Add(20 * time.Second); ; {
		call(false)
		if _, err := os.Stat(started); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("not started")
		}
	}
}

// TestDialErrors: each part of the address is tried, and has its error.
func TestDialErrors(t *testing.T) {
	_, err := Dial(t.Context(), "unix:path=/none1;tcp:x;unix:abstract=usbagent-none", Options{})
	for _, want := range []string{
		"dial unix /none1: connect: no such file or directory", `bus address "tcp:x" is no unix: address`, "dial unix @usbagent-none: connect: connection refused",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestReads: no message is read piece by piece, each of which is a system call.
func TestReads(t *testing.T) {
	bus, _ := onBus(t, nil)
	paths, _ := Sockets(bus.Address)
	socket, err := open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	counted := &counting{Socket: socket}
	c, err := New(t.Context(), counted, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	calls := make([]*Call, 100)
	for i := range calls {
		calls[i] = &Call{Object: Bus, Method: Bus.Name + ".GetId"}
	}
	if err := c.Send(t.Context(), calls...); err != nil {
		t.Fatal(err)
	}
	for _, call := range calls {
		if err := c.Wait(t.Context(), call); err != nil {
			t.Fatal(err)
		}
	}
	if n := counted.reads.Load(); int(n) > len(calls)+10 {
		t.Errorf("%d reads for %d answers", n, len(calls))
	}
}

// counting counts reads.
type counting struct {
	Socket
	reads atomic.Int32
}

func (c *counting) Read(b []byte) (int, error) {
	c.reads.Add(1)
	return c.Socket.Read(b)
}
