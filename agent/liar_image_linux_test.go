// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/test/raucbench"
)

// hook is RAUC's install-check hook: it leaves the word in the file hooks and
// refuses the installation, so that the next round finds the same slots.
func (b *bench) hook(word string) string {
	return fmt.Sprintf("#!/bin/sh\necho %s >>%s/hooks\necho %s >&2\nexit 10\n", word, b.dir, word)
}

// hooks is what the hooks wrote that RAUC ran.
func (b *bench) hooks() string {
	text, _ := os.ReadFile(filepath.Join(b.dir, "hooks"))
	return string(text)
}

// contentSize is where the signature of a RAUC bundle begins.
func contentSize(bundle string) int {
	cms := binary.BigEndian.Uint64([]byte(bundle[len(bundle)-8:]))
	return len(bundle) - 8 - int(cms)
}

// swapped is a genuine signed plain bundle, whose hook is honest, and the same
// one with the file system of an attacker in it.
func (b *bench) swapped(rauc *raucbench.Bench) lie {
	b.t.Helper()
	genuine, _ := b.bundle(rauc, "2", raucbench.Bundle{PKI: vendor, Hook: b.hook("genuine")})
	forged, _ := b.bundle(rauc, "666", raucbench.Bundle{PKI: customer, Hook: b.hook("FORGED"), Content: []byte("of an attacker")})
	size := contentSize(genuine)
	fs := forged[:contentSize(forged)]
	return lie{name: "firmware.image", genuine: genuine, forged: fs + strings.Repeat("\x00", size-len(fs)) + genuine[size:], end: size}
}

// TestImageOfADeviceThatLies: a genuine signed plain bundle, and once it was
// read another file system in its place, is root without a key where RAUC reads
// from the stick. It gets its copy, so no hook of the other ever runs.
func TestImageOfADeviceThatLies(t *testing.T) {
	b := newBench(t)
	rauc := b.withRAUC()
	b.start()
	image := b.swapped(rauc)
	copied := func() bool { // the private copy has all bytes
		made, _ := filepath.Glob(b.dir + "/state/staging/*")
		info, err := os.Stat(strings.Join(made, ""))
		return err == nil && info.Size() == int64(len(image.genuine))
	}
	lied := 0
	for i := range lieRounds {
		// By turns from when the copy is whole, and soon after the first reading, which
		// may be before that.
		if image.when = nil; i%2 == 0 {
			image.when = copied
		}
		device, pull := b.plugLiar("LIAR", files{image.name: image.genuine}, image)
		s := b.done(device)
		if result, reason := step(s, "image"); result != "failed" || !strings.Contains(reason, "genuine") {
			if image.when != nil || !strings.Contains(reason, "other bytes") && !strings.Contains(reason, "no RAUC bundle") {
				t.Fatalf("round %d: %s: %s", i, result, reason)
			}
			lied++ // before the copy was whole
		}
		if strings.Contains(b.hooks(), "FORGED") || rauc.Primary() != "A" || b.reboots() != 0 {
			t.Fatalf("round %d: RAUC was given the forged bytes: %s", i, b.hooks())
		}
		if !b.seesForged(filepath.Join(s.Mountpoint, image.name), image.forged) {
			t.Fatalf("round %d: the device did not lie: nothing was proven", i)
		}
		pull()
	}
	if ran := strings.Count(b.hooks(), "genuine"); ran != lieRounds-lied {
		t.Errorf("in %d rounds RAUC got the verified bundle %d times, and %d were refused", lieRounds, ran, lied)
	}
	t.Logf("%d of %d rounds were refused", lied, lieRounds)
	if left, _ := filepath.Glob(b.dir + "/state/staging/*"); len(left) != 0 {
		t.Errorf("private copies left: %v", left)
	}
}

// TestRAUCReadingFromALiar shows that the device of the test above is a danger:
// RAUC on its own, reading from the stick, runs the forged hook as root.
func TestRAUCReadingFromALiar(t *testing.T) {
	b := newBench(t)
	rauc := b.withRAUC()
	b.config["installer.direct"] = `"always"`
	b.start()
	image := b.swapped(rauc)
	for range 20 {
		seen := strings.Count(read(t, rauc.Log), "Mounting bundle")
		image.when = func() bool { return strings.Count(read(t, rauc.Log), "Mounting bundle") > seen }
		device, pull := b.plugLiar("LIAR", files{image.name: image.genuine}, image)
		b.done(device)
		pull()
		if strings.Contains(b.hooks(), "FORGED") {
			return
		}
	}
	t.Errorf("RAUC was not fooled in 20 rounds, so the test with the private copy proves nothing; hooks wrote %q", b.hooks())
}

// TestPlainAfterVerity: the agent looks at a verity bundle, and RAUC would find
// a plain one with a forged file system in the same place.
func TestPlainAfterVerity(t *testing.T) {
	for name, formats := range map[string]string{"RAUC takes plain": "", "RAUC takes no plain": "-plain"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			rauc := b.withRAUC(func(o *raucbench.Options) { o.Formats = formats })
			b.start()
			verity, _ := b.bundle(rauc, "2", raucbench.Bundle{PKI: vendor, Format: "verity", Hook: b.hook("genuine")})
			plain := b.swapped(rauc)
			cms := plain.forged[contentSize(plain.forged):]
			fs := plain.forged[:contentSize(plain.forged)]
			image := lie{name: "firmware.image", genuine: verity, forged: fs + strings.Repeat("\x00", len(verity)-len(fs)-len(cms)) + cms}
			for i := range lieRounds / 10 {
				device, pull := b.plugLiar("LIAR", files{image.name: image.genuine}, image)
				s := b.done(device)
				if result, _ := step(s, "image"); result == "done" || b.hooks() != "" {
					t.Errorf("round %d: installed: %+v; hooks wrote %q", i, s.Steps, b.hooks())
				}
				if rauc.Primary() != "A" || b.reboots() != 0 {
					t.Fatalf("round %d: RAUC was given the forged bytes: %s", i, b.hooks())
				}
				if !b.seesForged(filepath.Join(s.Mountpoint, image.name), image.forged) {
					t.Fatalf("round %d: the device did not lie: nothing was proven", i)
				}
				pull()
			}
		})
	}
}
