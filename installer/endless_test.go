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

	"usbagent/test/raucbench"
)

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
	if _, err := r.WaitIdle(soon(t)); !errors.Is(err, ErrBusy) {
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
