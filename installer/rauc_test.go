// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usbagent/test/need"
	"usbagent/test/raucbench"
)

// forBench returns the backend for a bench.
func forBench(b *raucbench.Bench) *RAUC {
	r := NewRAUC(RAUCOptions{BusAddress: b.Bus.Address, SystemConf: b.Conf})
	r.limits.ready, r.limits.busy = 20*time.Second, 20*time.Second
	return r
}

// image makes a bundle and returns its path and what it says about itself.
func image(t *testing.T, b *raucbench.Bench, o raucbench.Bundle) (string, Info) {
	t.Helper()
	path, err := b.Bundle(o)
	if err != nil {
		t.Fatal(err)
	}
	info, err := forBench(b).Inspect(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return path, info
}

func TestRealRAUCStory(t *testing.T) {
	b := raucbench.For(t, raucbench.Options{})
	r, ctx := forBench(b), t.Context()
	content := bytes.Repeat([]byte("the new system "), 20000)
	path, info := image(t, b, raucbench.Bundle{Version: "2", Content: content})
	if info.Compatible != raucbench.Compatible || info.Version != "2" || len(info.Images) != 1 || info.Images[0].Class != "rootfs" {
		t.Fatalf("Inspect = %+v", info)
	}
	before, err := r.System(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if slot, _ := before.BootedSlot(); slot.Name != "rootfs.0" || slot.BootStatus != Good || before.Primary != "rootfs.0" || slot.SHA256 != "" {
		t.Fatalf("system before: %+v", before)
	}

	var percents []int
	result, err := Run(ctx, r, Job{Path: path, Info: info, Progress: func(p int, _ string) { percents = append(percents, p) }})
	if err != nil || result.Decision.Action != Install || strings.Join(result.Slots, " ") != "rootfs.1" {
		t.Fatalf("Run = %+v, %v", result, err)
	}
	if len(percents) == 0 || percents[len(percents)-1] != 100 {
		t.Errorf("progress %v does not end with 100", percents)
	}
	if !b.Holds("B", content) || b.Holds("A", content) || b.Primary() != "B" {
		t.Errorf("image in A: %v, in B: %v, primary %s", b.Holds("A", content), b.Holds("B", content), b.Primary())
	}

	// Not booted yet: the same image has nothing to do, another is refused.
	if result, err = Run(ctx, r, Job{Path: path, Info: info}); err != nil || result.Decision.Action != Skip {
		t.Errorf("the same again: %+v, %v; want Skip", result, err)
	}
	otherPath, other := image(t, b, raucbench.Bundle{Version: "3"})
	if result, err = Run(ctx, r, Job{Path: otherPath, Info: other}); err != nil || result.Decision.Action != Refuse {
		t.Errorf("another one: %+v, %v; want Refuse", result, err)
	}

	// After the reboot the running system is the image.
	if _, err := b.Reboot(); err != nil {
		t.Fatal(err)
	}
	if result, err = Run(ctx, r, Job{Path: path, Info: info, Situation: Situation{AtBoot: true}}); err != nil || result.Decision.Action != Skip {
		t.Errorf("after the reboot: %+v, %v; want Skip", result, err)
	}
	if result, err = Run(ctx, r, Job{Path: otherPath, Info: other}); err != nil || result.Decision.Action != Install {
		t.Errorf("another one, plugged: %+v, %v; want Install", result, err)
	}
}

// TestRealRAUCFallBack is the new system that does not boot.
func TestRealRAUCFallBack(t *testing.T) {
	b := raucbench.For(t, raucbench.Options{})
	r, ctx := forBench(b), t.Context()
	path, info := image(t, b, raucbench.Bundle{Version: "2"})
	if _, err := Run(ctx, r, Job{Path: path, Info: info}); err != nil {
		t.Fatal(err)
	}
	b.StopService()
	b.SetBad("B", true)
	b.SetPrimary("A")
	if err := b.StartService("A"); err != nil {
		t.Fatal(err)
	}
	result, err := Run(ctx, r, Job{Path: path, Info: info, Situation: Situation{AtBoot: true, Installed: true}})
	if err != nil || result.Decision.Action != Refuse || !result.Decision.FellBack {
		t.Errorf("at boot after the fall back: %+v, %v; want Refuse, FellBack", result, err)
	}
	result, err = Run(ctx, r, Job{Path: path, Info: info, Situation: Situation{Installed: true}})
	if err != nil || result.Decision.Action != Install {
		t.Errorf("a fresh plug: %+v, %v; want Install", result, err)
	}
}

// TestRealRAUCRefuses: what RAUC refuses is a failure with RAUC's words, and
// the next good image installs.
func TestRealRAUCRefuses(t *testing.T) {
	b := raucbench.For(t, raucbench.Options{})
	r, ctx := forBench(b), t.Context()
	stranger, err := raucbench.NewPKI(t.TempDir(), "stranger")
	if err != nil {
		t.Fatal(err)
	}
	good, info := image(t, b, raucbench.Bundle{Version: "2"})
	bad, err := b.Bundle(raucbench.Bundle{Version: "3", PKI: stranger})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Inspect(ctx, bad); err == nil {
		t.Error("Inspect accepted a stranger's bundle")
	}
	_, err = Run(ctx, r, Job{Path: bad, Info: info})
	if err == nil || errors.Is(err, ErrUnclear) || !strings.Contains(err.Error(), "signature") {
		t.Errorf("a stranger's bundle: %v; want RAUC's words about the signature", err)
	}
	if _, err = Run(ctx, r, Job{Path: filepath.Join(t.TempDir(), "none"), Info: info}); err == nil {
		t.Error("a path with nothing was installed")
	}
	if b.Primary() != "A" {
		t.Errorf("primary is %s after failures", b.Primary())
	}
	if result, err := Run(ctx, r, Job{Path: good, Info: info}); err != nil || result.Decision.Action != Install {
		t.Errorf("the next good image: %+v, %v", result, err)
	}
}

// TestRealRAUCNoop: a boot loader that says nothing about what boots next.
func TestRealRAUCNoop(t *testing.T) {
	b := raucbench.For(t, raucbench.Options{Bootloader: "noop"})
	r, ctx := forBench(b), t.Context()
	path, info := image(t, b, raucbench.Bundle{Version: "2"})
	system, err := r.System(ctx)
	if err != nil || system.Primary != "" {
		t.Fatalf("System = %+v, %v; want no primary", system, err)
	}
	if result, err := Run(ctx, r, Job{Path: path, Info: info}); err != nil || len(result.Slots) != 1 {
		t.Fatalf("Run = %+v, %v", result, err)
	}
	other, info2 := image(t, b, raucbench.Bundle{Version: "3"})
	result, err := Run(ctx, r, Job{Path: other, Info: info2, Situation: Situation{Waiting: "plain-2.image"}})
	if err != nil || result.Decision.Action != Refuse {
		t.Errorf("another while one waits: %+v, %v; want Refuse", result, err)
	}
}

// TestRealRAUCNotGood: the booted slot is not marked good, then it is.
func TestRealRAUCNotGood(t *testing.T) {
	b := raucbench.For(t, raucbench.Options{})
	r, ctx := forBench(b), t.Context()
	r.limits.ready, r.limits.readyPoll = 300*time.Millisecond, 50*time.Millisecond
	b.SetBad("A", true)
	if _, err := r.WaitReady(ctx, nil); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "rootfs.0 bad") {
		t.Errorf("WaitReady = %v, want ErrNotReady and the slot", err)
	}
	r.limits.ready = 20 * time.Second
	time.AfterFunc(300*time.Millisecond, func() { b.SetBad("A", false) })
	if _, err := r.WaitReady(ctx, nil); err != nil {
		t.Errorf("WaitReady after mark-good: %v", err)
	}
}

// TestRealRAUCCrash kills the service while it installs, at several points:
// the slots decide. Either they confirm, and then the whole image is there and
// boots next, or they do not, and the next attempt goes well.
func TestRealRAUCCrash(t *testing.T) {
	for _, at := range []int{20, 40, 60, 80} {
		b := raucbench.For(t, raucbench.Options{SlotSize: 24 << 20})
		r, ctx := forBench(b), t.Context()
		r.limits.progress = 0
		content := bytes.Repeat([]byte("the new system.."), 1<<20)
		path, info := image(t, b, raucbench.Bundle{Version: "2", Content: content})
		killed := 0
		err := r.Install(ctx, path, InstallOptions{}, func(percent int, _ string) {
			if killed == 0 && percent >= at {
				b.Kill()
				killed = percent
			}
		})
		if killed == 0 || !errors.Is(err, ErrUnclear) {
			t.Fatalf("killed at %d %%, Install = %v; want ErrUnclear", killed, err)
		}
		if err := b.StartService("A"); err != nil {
			t.Fatal(err)
		}
		system, err := r.System(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Confirm(info, system)
		t.Logf("killed at %d %%: confirmed: %v", killed, err)
		if err != nil {
			_, err = Run(ctx, r, Job{Path: path, Info: info})
		}
		if err != nil || !b.Holds("B", content) || b.Primary() != "B" {
			t.Errorf("in the end: %v, slot B whole: %v, primary %s", err, b.Holds("B", content), b.Primary())
		}
	}
}

// TestRealRAUCAdopt: the agent restarts while RAUC installs.
func TestRealRAUCAdopt(t *testing.T) {
	b := raucbench.For(t, raucbench.Options{})
	r := forBench(b)
	if err := r.Adopt(t.Context(), nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Adopt of nothing = %v", err)
	}
	path, info := image(t, b, raucbench.Bundle{Version: "2", Hook: "#!/bin/sh\nsleep 2\n"})
	ctx, cancel := context.WithCancel(t.Context())
	err := r.Install(ctx, path, InstallOptions{}, func(int, string) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Install with its agent stopped = %v", err)
	}
	if running, err := r.Running(t.Context()); !running || err != nil {
		t.Fatalf("Running = %v, %v", running, err)
	}
	// Somebody else's image has to wait, and is looked at anew afterwards.
	if err := r.Install(t.Context(), path, InstallOptions{}, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("Install while busy = %v, want ErrBusy", err)
	}
	if err := forBench(b).Adopt(t.Context(), nil); err != nil {
		t.Fatalf("Adopt = %v", err)
	}
	system, err := r.System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slots, err := Confirm(info, system); err != nil || len(slots) != 1 {
		t.Errorf("Confirm = %v, %v", slots, err)
	}
}

// TestRealRAUCCannotBind: RAUC 1.8 does not know require-manifest-hash, and
// nothing is installed unbound in its place.
func TestRealRAUCCannotBind(t *testing.T) {
	b := raucbench.For(t, raucbench.Options{})
	r := forBench(b)
	binds := r.BindsManifest(t.Context()) // a newer RAUC does: it refuses the wrong hash itself
	path, _ := image(t, b, raucbench.Bundle{Version: "2"})
	err := r.Install(t.Context(), path, InstallOptions{ManifestHash: strings.Repeat("0", 64)}, nil)
	if err == nil || errors.Is(err, ErrCannotBind) == binds || b.Primary() != "A" {
		t.Errorf("Install = %v, primary %s, with a RAUC that binds: %v; want a refusal and A", err, b.Primary(), binds)
	}
}

// TestRealVerityManifest: the manifest that lies in the signature of a verity
// bundle says the same as RAUC does.
func TestRealVerityManifest(t *testing.T) {
	b := raucbench.For(t, raucbench.Options{})
	path, told := image(t, b, raucbench.Bundle{Version: "2", Format: "verity"})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	trailer, err := ReadTrailer(bytes.NewReader(text), int64(len(text)))
	if err != nil || !trailer.Squashfs {
		t.Fatalf("ReadTrailer = %+v, %v", trailer, err)
	}
	start := bytes.Index(trailer.CMS, []byte("[update]"))
	end := bytes.Index(trailer.CMS[start:], []byte("\n\xa0")) // the certificates follow
	if start < 0 || end < 0 {
		t.Fatal("no manifest in the CMS of a verity bundle")
	}
	info, err := ParseManifest(trailer.CMS[start : start+end+1])
	if err != nil || info.Format != Verity || info.Images[0] != told.Images[0] || info.Compatible != told.Compatible {
		t.Errorf("ParseManifest = %+v, %v; rauc info says %+v", info, err, told)
	}
}

// TestVerityInstalls needs device-mapper; without it the emulated board proves it.
func TestVerityInstalls(t *testing.T) {
	if _, err := os.Stat("/sys/class/misc/device-mapper"); err != nil {
		need.OnBoard(t, "a kernel with device-mapper", "TestBoardFileSystems")
	}
	b := raucbench.For(t, raucbench.Options{Formats: "-plain"})
	path, info := image(t, b, raucbench.Bundle{Version: "2", Format: "verity"})
	if result, err := Run(t.Context(), forBench(b), Job{Path: path, Info: info}); err != nil || len(result.Slots) != 1 {
		t.Errorf("Run = %+v, %v", result, err)
	}
}
