// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"usbagent/test/need"
	"usbagent/test/raucbench"
)

// digest is that of the image in the bundles of these tests.
var digest = strings.Repeat("ab", 32)

// fakeInfo is such a bundle.
var fakeInfo = Info{Compatible: raucbench.Compatible, Version: "2", Format: Plain,
	Images: []Image{{Class: "rootfs", Filename: "rootfs.img", SHA256: digest}}}

// newFake starts a bus with a fake service, and returns a backend with short limits.
func newFake(t *testing.T) (*raucbench.Bus, *raucbench.Fake, *RAUC) {
	t.Helper()
	t.Parallel() // they mostly wait
	need.Root(t)
	need.RAUC(t)
	bus, err := raucbench.StartBus("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Stop)
	conn, err := bus.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fake, err := raucbench.NewFake(conn)
	if err != nil {
		t.Fatal(err)
	}
	return bus, fake, shortened(bus)
}

// shortened returns a backend whose limits are a test's.
func shortened(bus *raucbench.Bus) *RAUC {
	r := NewRAUC(RAUCOptions{BusAddress: bus.Address, SystemConf: "/nonexistent"})
	r.limits = limits{
		stall: 2 * time.Second, total: 20 * time.Second, probe: 400 * time.Millisecond, progress: time.Millisecond,
		busy: time.Second, busyPoll: 50 * time.Millisecond, ready: time.Second, readyPoll: 50 * time.Millisecond,
		tool: 5 * time.Second, connect: 5 * time.Second, call: 5 * time.Second,
	}
	return r
}

// soon bounds a test that would hang.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// installed asserts that the job ended with a confirmed installation.
func installed(t *testing.T, r *RAUC) {
	t.Helper()
	result, err := Run(soon(t), r, Job{Path: "/stick/x.image", Info: fakeInfo})
	if err != nil || result.Decision.Action != Install || len(result.Slots) != 1 {
		t.Errorf("Run = %+v, %v; want an installation", result, err)
	}
}

// refused asserts that the job ended with an error that wraps every one of want.
func refused(t *testing.T, r *RAUC, want ...error) {
	t.Helper()
	result, err := Run(soon(t), r, Job{Path: "/stick/x.image", Info: fakeInfo})
	if err == nil || len(result.Slots) != 0 {
		t.Errorf("Run = %+v, %v; want an error", result, err)
	}
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("Run = %v; want %v", err, w)
		}
	}
}

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
	if err := r.WaitIdle(soon(t)); !errors.Is(err, ErrDistrusted) {
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
		f.SetBusy(false)
		f.Completed(1)
	})
	refused(t, r, ErrUnclear, ErrNotConfirmed)
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

// TestHang: accepted, and never a word again.
func TestHang(t *testing.T) {
	_, fake, r := newFake(t)
	start := time.Now()
	refused(t, r, ErrBusy) // the slots cannot be asked either
	if err := r.Install(soon(t), "/x", InstallOptions{}, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("a second: %v", err)
	}
	fake.SetBusy(false)
	fake.OnInstall(nil)
	err := r.Install(soon(t), "/x", InstallOptions{}, nil)
	if !errors.Is(err, ErrStalled) || !errors.Is(err, ErrUnclear) {
		t.Errorf("Install = %v, want ErrStalled after InstallStall", err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestEndless: progress for ever ends with InstallTimeout.
func TestEndless(t *testing.T) {
	_, fake, r := newFake(t)
	r.limits.total = 2 * time.Second
	fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) {
		for f.Conn.Connected() {
			f.Progress(50, "still at it")
			time.Sleep(20 * time.Millisecond)
		}
	})
	if err := r.Install(soon(t), "/x", InstallOptions{}, nil); !errors.Is(err, ErrStalled) {
		t.Errorf("Install = %v, want ErrStalled after InstallTimeout", err)
	}
}

// TestNeverCompletes: RAUC is idle again, and its Completed never comes.
func TestNeverCompletes(t *testing.T) {
	_, fake, r := newFake(t)
	fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) { f.SetBusy(false) })
	refused(t, r, ErrUnclear, ErrNotConfirmed)
	fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) {
		f.SetSlot("rootfs.1", "sha256", digest)
		f.SetPrimary("rootfs.1")
		f.SetBusy(false)
	})
	installed(t, r)
}

// TestFlood: 100,000 changes of progress, with a callback that is slow, cost
// no memory, delay nothing, and Completed after them is not lost.
func TestFlood(t *testing.T) {
	_, fake, r := newFake(t)
	const flood = 100000
	fake.OnInstall(func(f *raucbench.Fake, _ string, _ map[string]dbus.Variant) {
		for i := range flood {
			f.Progress(int32(i*100/flood), strings.Repeat("x", 2*MaxProgressMessage))
		}
		f.Finish(digest)
	})
	r.limits.total, r.limits.stall = 5*time.Minute, 5*time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	told, longest := 0, 0
	result, err := Run(ctx, r, Job{Path: "/x", Info: fakeInfo, Progress: func(_ int, m string) {
		told, longest = told+1, max(longest, len(m))
		time.Sleep(20 * time.Millisecond)
	}})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil || len(result.Slots) != 1 {
		t.Errorf("Run = %+v, %v", result, err)
	}
	if told == 0 || longest > MaxProgressMessage {
		t.Errorf("told %d times, longest message %d bytes; want at most %d", told, longest, MaxProgressMessage)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("heap grew by %d bytes", grown)
	}
}

// TestBusyForEver: somebody keeps RAUC busy without end.
func TestBusyForEver(t *testing.T) {
	_, fake, r := newFake(t)
	fake.SetBusy(true)
	start := time.Now()
	if err := r.WaitIdle(soon(t)); !errors.Is(err, ErrBusy) {
		t.Errorf("WaitIdle = %v, want ErrBusy after BusyTimeout", err)
	}
	if took := time.Since(start); took < r.limits.busy || took > r.limits.busy+5*time.Second {
		t.Errorf("gave up after %v", took)
	}
	// Idle whenever it is asked, busy whenever we want to begin.
	fake.SetBusy(false)
	backend := &sniped{RAUC: r}
	_, err := Run(soon(t), backend, Job{Path: "/x", Info: fakeInfo})
	if !errors.Is(err, ErrBusy) || backend.attempts != InstallAttempts {
		t.Errorf("Run = %v after %d attempts, want ErrBusy after %d", err, backend.attempts, InstallAttempts)
	}
}

// sniped is a RAUC that somebody else always gets at first.
type sniped struct {
	*RAUC
	attempts int
}

func (s *sniped) Install(context.Context, string, InstallOptions, Progress) error {
	s.attempts++
	return ErrBusy
}

// TestBusyThenLookAgain: what another installed meanwhile is not overwritten.
func TestBusyThenLookAgain(t *testing.T) {
	_, fake, r := newFake(t)
	fake.SetBusy(true)
	time.AfterFunc(300*time.Millisecond, func() { fake.Finish(strings.Repeat("cd", 32)) })
	result, err := Run(soon(t), r, Job{Path: "/x", Info: fakeInfo})
	if err != nil || result.Decision.Action != Refuse {
		t.Errorf("Run = %+v, %v; want Refuse, since another's installation waits for its first boot", result, err)
	}
}

// TestVersions: a RAUC without InstallBundle, one that binds, one that does not.
func TestVersions(t *testing.T) {
	_, fake, r := newFake(t)
	fake.OnInstall(func(f *raucbench.Fake, _ string, o map[string]dbus.Variant) {
		if hash, ok := o["require-manifest-hash"]; ok && hash.Value() != "1234" {
			f.SetBusy(false)
			f.Completed(1)
			return
		}
		f.Finish(digest)
	})
	bound := InstallOptions{ManifestHash: "1234"}
	for _, c := range []struct {
		version string
		options InstallOptions
		want    error
	}{
		{"0", bound, ErrCannotBind}, {"1.8", bound, ErrCannotBind}, {"1.12", bound, nil}, {"0", InstallOptions{}, nil},
	} {
		fake.SetVersion(c.version)
		if err := r.Install(soon(t), "/x", c.options, nil); !errors.Is(err, c.want) {
			t.Errorf("version %s, %+v: %v, want %v", c.version, c.options, err, c.want)
		}
	}
	fake.SetVersion("0")
	fake.SetBusy(true)
	if err := r.Install(soon(t), "/x", InstallOptions{}, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("busy old version: %v, want ErrBusy", err)
	}
}

// TestInspectBundle reads the answer of RAUC 1.9 and later.
func TestInspectBundle(t *testing.T) {
	_, fake, r := newFake(t)
	fake.SetVersion("1.12")
	v := func(x any) dbus.Variant { return dbus.MakeVariant(x) }
	fake.SetBundle(map[string]dbus.Variant{
		"manifest-hash": v("1234"),
		"update":        v(map[string]dbus.Variant{"compatible": v("board"), "version": v("2")}),
		"bundle":        v(map[string]dbus.Variant{"format": v("verity")}),
		"images": v([]map[string]dbus.Variant{{"slot-class": v("rootfs"), "filename": v("r.img"),
			"checksum": v(strings.ToUpper(digest)), "size": v(uint64(7))}}),
	})
	info, err := r.Inspect(soon(t), "/x")
	want := Image{Class: "rootfs", Filename: "r.img", SHA256: digest, Size: 7}
	if err != nil || info.Compatible != "board" || info.Format != Verity || info.ManifestHash != "1234" || info.Images[0] != want {
		t.Errorf("Inspect = %+v, %v", info, err)
	}
	fake.SetBundle(map[string]dbus.Variant{"update": v("a string")})
	if info, err := r.Inspect(soon(t), "/x"); err == nil {
		t.Errorf("Inspect of nonsense = %+v", info)
	}
}
