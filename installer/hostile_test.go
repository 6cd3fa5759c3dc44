// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"usbagent/test/need"
	"usbagent/test/raucbench"
)

func TestFakeGood(t *testing.T) {
	_, fake, r := newFake(t)
	fake.OnInstall(func(f *raucbench.Fake, path string, _ map[string]dbus.Variant) {
		if path == "/stick/x.image" {
			f.Finish(digest)
		}
	})
	installed(t, r)
}

// TestOwnerNotRoot: RAUC's name belongs to another user; it is never called.
func TestOwnerNotRoot(t *testing.T) {
	need.Root(t)
	need.RAUC(t)
	bus, err := raucbench.StartBus("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Stop)
	conn, err := bus.DialAs(65534)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fake, err := raucbench.NewFake(conn)
	if err != nil {
		t.Fatal(err)
	}
	r := shortened(bus)
	refused(t, r, ErrDistrusted)
	if err := r.Install(soon(t), "/x", InstallOptions{}, nil); !errors.Is(err, ErrDistrusted) {
		t.Errorf("Install = %v, want ErrDistrusted", err)
	}
	if _, err := r.WaitIdle(soon(t)); !errors.Is(err, ErrDistrusted) {
		t.Errorf("WaitIdle = %v, want ErrDistrusted", err)
	}
	if calls := fake.Calls(); len(calls) != 0 {
		t.Errorf("the stranger was called: %v", calls)
	}
}

// TestLies: Completed says success, and the slots say something else.
func TestLies(t *testing.T) {
	for name, end := range map[string]func(f *raucbench.Fake){
		"slots unchanged": func(*raucbench.Fake) {},
		"other digest": func(f *raucbench.Fake) {
			f.SetSlot("rootfs.1", "sha256", strings.Repeat("cd", 32))
			f.SetPrimary("rootfs.1")
		},
		"not primary": func(f *raucbench.Fake) { f.SetSlot("rootfs.1", "sha256", digest) },
		"not finished": func(f *raucbench.Fake) {
			f.SetSlot("rootfs.1", "sha256", digest)
			f.SetSlot("rootfs.1", "status", "update")
			f.SetPrimary("rootfs.1")
		},
		"a number for a digest": func(f *raucbench.Fake) { f.SetSlot("rootfs.1", "sha256", uint32(7)); f.SetPrimary("rootfs.1") },
	} {
		t.Run(name, func(t *testing.T) {
			_, fake, r := newFake(t)
			fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) {
				end(f)
				f.SetBusy(false)
				f.Completed(0)
			})
			refused(t, r, ErrNotConfirmed)
		})
	}
}

// TestEarlyCompleted: Completed leaves before the answer to InstallBundle.
func TestEarlyCompleted(t *testing.T) {
	_, fake, r := newFake(t)
	fake.Before(func(f *raucbench.Fake) { f.Finish(digest) })
	installed(t, r)
}

// TestLateIdle: RAUC is still busy for a moment when it sends Completed.
func TestLateIdle(t *testing.T) {
	_, fake, r := newFake(t)
	fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) {
		f.SetSlot("rootfs.1", "sha256", digest)
		f.SetPrimary("rootfs.1")
		f.Completed(0)
		time.Sleep(300 * time.Millisecond)
		f.SetBusy(false)
	})
	installed(t, r)
}

// TestCompletedOfAnother: while ours runs, RAUC completes one that began
// before; ours ends later and its result counts.
func TestCompletedOfAnother(t *testing.T) {
	_, fake, r := newFake(t)
	r.limits.stall = 15 * time.Second // not what this is about
	fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) {
		f.Completed(1)
		time.Sleep(700 * time.Millisecond)
		f.Finish(digest)
	})
	installed(t, r)
	fake.SetPrimary("rootfs.0")
	fake.SetSlot("rootfs.1", "sha256", "")
	fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) {
		f.Completed(0)
		time.Sleep(700 * time.Millisecond)
		f.Completed(1) // before it is idle, as RAUC does it
		f.SetBusy(false)
	})
	refused(t, r, ErrUnclear, ErrNotConfirmed)
}

// TestIdleBeforeCompleted: another's failure comes while ours runs, and RAUC says
// that it is idle before our Completed has arrived.
func TestIdleBeforeCompleted(t *testing.T) {
	_, fake, r := newFake(t)
	fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) {
		asked := func() {
			before := len(f.Calls())
			for end := time.Now().Add(10 * time.Second); len(f.Calls()) == before && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
		}
		f.Completed(1)
		asked()
		f.SetBusy(false)
		asked()
		f.Finish(digest)
	})
	installed(t, r)
}

// TestForeignCompleted: another connection sends Completed, broadcast and
// straight to us, as any local user may.
func TestForeignCompleted(t *testing.T) {
	bus, fake, r := newFake(t)
	stranger, err := bus.DialAs(65534)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	over := make(chan bool)
	fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) {
		forge(t, stranger)
		time.Sleep(200 * time.Millisecond)
		f.SetBusy(false)
		close(over)
		f.Completed(1)
	})
	_, err = Run(soon(t), r, Job{Path: "/x", Info: fakeInfo})
	select {
	case <-over:
	default:
		t.Error("Run ended before RAUC said so")
	}
	if err == nil || !strings.Contains(err.Error(), "an error of yesterday") || errors.Is(err, ErrUnclear) {
		t.Errorf("Run = %v; want RAUC's own failure", err)
	}
}

// forge sends a Completed and a progress to every connection of the bus.
func forge(t *testing.T, stranger *dbus.Conn) {
	var names []string
	if err := stranger.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names); err != nil {
		t.Error(err)
	}
	for _, name := range append(names, "") {
		if name != "" && !strings.HasPrefix(name, ":") {
			continue
		}
		msg := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldInterface: dbus.MakeVariant(raucInterface), dbus.FieldMember: dbus.MakeVariant("Completed"),
			dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/")),
			dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(int32(0))),
		}, Body: []any{int32(0)}}
		if name != "" {
			msg.Headers[dbus.FieldDestination] = dbus.MakeVariant(name)
		}
		if call := stranger.Send(msg, nil); call != nil && call.Err != nil {
			t.Error(call.Err)
		}
	}
}

// TestCrash: the service leaves the bus midway. What the slots say to the next
// owner of the name counts; without one there is no installation.
func TestCrash(t *testing.T) {
	bus, fake, r := newFake(t)
	fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) { f.Conn.Close() })
	refused(t, r, ErrUnavailable)

	for _, done := range []bool{true, false} {
		conn, err := bus.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		first, err := raucbench.NewFake(conn)
		if err != nil {
			t.Fatal(err)
		}
		first.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) {
			f.Conn.ReleaseName(raucName)
			next, err := bus.Dial()
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { next.Close() })
			second, err := raucbench.NewFake(next)
			if err != nil {
				t.Error(err)
				return
			}
			if done {
				second.Finish(digest)
			}
			f.Conn.Close()
			if done {
				time.AfterFunc(time.Second, func() { next.Close() })
			}
		})
		if done {
			installed(t, r)
			time.Sleep(1200 * time.Millisecond) // the second is gone
		} else {
			refused(t, r, ErrUnclear, ErrNotConfirmed)
		}
	}
}
