// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// variant is a slot image of a system that behaves in its own way; it is
// cached by name.
func (p parts) variant(t *testing.T, name string, change func(Image) error) string {
	t.Helper()
	dir, err := p.cache.Layer("variant-"+name, []string{p.slot, "2"}, func(dir string) error {
		path := filepath.Join(dir, "slot.ext4")
		if err := copySparse(path, p.slot); err != nil {
			return err
		}
		return change(Image{path})
	})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "slot.ext4")
}

// broken is a system whose boot ends in a reset.
func (p parts) broken(t *testing.T) string {
	return p.variant(t, "broken", func(i Image) error { _, err := i.debugfs("rm /sbin"); return err })
}

// confirm is the file that slowGood waits for.
const confirm = "/run/confirm"

// slowGood is a system that confirms its boot at least a minute late, and not
// before it is told to.
func (p parts) slowGood(t *testing.T) string {
	return p.variant(t, "confirmed", func(i Image) error {
		drop := filepath.Join(t.TempDir(), "slow.conf")
		text := "[Service]\nTimeoutStartSec=infinity\n" +
			"ExecStartPre=/bin/sh -c 'sleep 60; until [ -e " + confirm + " ]; do sleep 1; done'\n"
		if err := writeFile(drop, []byte(text), 0o644); err != nil {
			return err
		}
		i.Mkdir("/etc/systemd/system/rauc-mark-good.service.d")
		return i.Write("/etc/systemd/system/rauc-mark-good.service.d/slow.conf", drop, 0o100644)
	})
}

// TestBoardFallsBack installs a system that does not boot, with the stick left
// in: the board falls back and does not try again, the technician is told, and
// a fresh plug does try again.
func TestBoardFallsBack(t *testing.T) {
	parallel(t)
	r := running(t)
	files := append(rotation(t, r.parts), r.bundle(t, "update.image", Bundle{
		Signer: r.fw.PKI.CustomerImages, Format: "verity", Version: "broken", Image: r.broken(t),
	}))
	stick := r.plain("fat32", "BROKEN", files...)
	r.plug(stick)
	r.await("the new slot was tried", reboot, func() bool { s := r.Starts(); return s[len(s)-1].Slot == "B" })
	r.await("the board fell back", reboot, func() bool { s := r.Starts(); return len(s) > 2 && s[len(s)-1].Slot == "A" })
	starts := len(r.Starts())
	r.booted(starts)
	done := r.finished(later)
	if done.Code != 6 {
		t.Errorf("the technician is not told: %s", done)
	}
	r.told(r.since, done)
	r.shown(done)
	if last := done.Steps[len(done.Steps)-1]; last.Step != "image" || last.Result == "done" || last.Reason == "" {
		t.Errorf("image step after the fall back: %+v", last)
	}
	if n := len(r.Starts()); n != starts {
		t.Errorf("the board restarted again: %d starts", n)
	}
	r.pull(stick)
	r.settle()
	since, plugged := r.ConsoleSize(), r.plug(stick)
	r.journal(since, "image handed to the installer", later)
	r.await("a fresh plug tries again", later, func() bool { return r.LED.Blinks(plugged) >= 2 })
}

// settle waits until what is plugged no longer counts as found at boot.
func (r *rig) settle() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), reboot)
	defer cancel()
	if err := r.awaitUptime(ctx, SettledAfter); err != nil {
		r.t.Fatal(err)
	}
}

// TestBoardTwoImages leaves a stick with two images in: one installation, one
// reboot, and no ping-pong. Then a manual roll back with the stick in stays.
func TestBoardTwoImages(t *testing.T) {
	parallel(t)
	r := running(t)
	a := r.bundle(t, "a.image", Bundle{Signer: r.fw.PKI.VendorImages, Format: "verity", Version: "2"})
	b := r.bundle(t, "b.image", Bundle{
		Signer: r.fw.PKI.VendorImages, Format: "verity", Version: "3",
		Image: r.variant(t, "other", func(i Image) error { return i.Link("/etc/other", "image") }),
	})
	stick := r.plain("fat32", "TWO", a, b)
	r.plug(stick)
	if slot := r.booted(2); slot != "B" {
		t.Fatalf("the board runs from %s", slot)
	}
	first := r.finished(later)
	r.expect(first, "mount done", "image skipped", "image skipped")
	r.told(r.since, first)
	r.shown(first)
	if n := len(r.Starts()); n != 2 || r.exists("/etc/other") {
		t.Errorf("%d starts: more than one installation", n)
	}
	r.sh("rauc status mark-active other; (sleep 1; systemctl reboot) >/dev/null 2>&1 &")
	if slot := r.booted(3); slot != "A" {
		t.Fatalf("the roll back ended in %s", slot)
	}
	done := r.finished(later)
	r.expect(done, "mount done", "image skipped", "image skipped")
	r.told(r.since, done)
	r.shown(done) // and nothing more may happen
	if n := len(r.Starts()); n != 3 {
		t.Errorf("%d starts: the roll back did not stay: %s", n, done)
	}
	if got := r.sh("fw_printenv -n BOOT_ORDER"); got != "A B" {
		t.Errorf("boot order %q after a manual roll back", got)
	}
	r.pull(stick)
}

// TestBoardMarkGoodLate boots a new system that is confirmed good minutes late.
// A stick that is in at its boot waits, and so does one that is plugged when
// the boot is past: the last good system is not overwritten by an unproven one.
// Then the one that was plugged is installed.
func TestBoardMarkGoodLate(t *testing.T) {
	parallel(t)
	r := running(t)
	slow := r.bundle(t, "update.image", Bundle{
		Signer: r.fw.PKI.VendorImages, Format: "verity", Version: "slow", Image: r.slowGood(t),
	})
	stick := r.plain("fat32", "SLOW", slow)
	r.plug(stick)
	r.await("the new slot starts", reboot, func() bool { return len(r.Starts()) == 2 })
	since := r.ConsoleSize()
	r.await("the new system answers", reboot, func() bool { return r.file("/run/usbagent/status.json") != "" })
	if err := r.Pull(stick); err != nil {
		t.Fatal(err)
	}
	next := r.plain("fat32", "NEXT", r.bundle(t, "tiny.image", Bundle{
		Signer: r.fw.PKI.VendorImages, Format: "verity", Version: "4", Image: r.tinyImage(t),
	}))
	r.waitsForGood(next)
	if err := r.awaitUptime(t.Context(), SettledAfter); err != nil { // what comes now is a plug
		t.Fatal(err)
	}
	r.pull(next)
	plugged := r.waitsForGood(NewStick(next.Media[0]))
	r.sh("touch " + confirm)
	r.journal(since, "image installed, restarting the board", reboot)
	text := r.Console(since)
	good, handed := strings.Index(text, "Finished rauc-mark-good.service"), strings.Index(text, "image handed to the installer")
	if good < 0 || handed < good {
		t.Errorf("the image was handed over before the system was confirmed good (%d, %d)", handed, good)
	}
	r.PowerCut()
	if r.LED.Blinks(plugged) == 0 || r.installed() != "A" {
		t.Errorf("the image was not installed: slot %s is first", r.installed())
	}
}

// waitsForGood plugs a stick with an image and waits until it says that the
// system is to be confirmed good first.
func (r *rig) waitsForGood(stick *Stick) (plugged time.Time) {
	r.t.Helper()
	plugged = r.plug(stick)
	r.lit(plugged)
	r.await("the stick waits for the new system's confirmation", reboot, func() bool {
		for _, s := range r.status().Sticks {
			if s.Present && strings.Contains(s.Waiting, "confirmed good") {
				return true
			}
		}
		return false
	})
	if r.LED.Blinks(plugged) != 0 {
		r.t.Error("the LED blinks before the system is confirmed good")
	}
	return plugged
}

// TestBoardCutDuringInstallation cuts the power while RAUC writes: the board
// boots the old system, and the stick works again.
func TestBoardCutDuringInstallation(t *testing.T) {
	parallel(t)
	r := running(t)
	stick := r.plain("fat32", "CUT", r.bundle(t, "update.image", Bundle{Signer: r.fw.PKI.VendorImages, Format: "verity", Version: "2"}))
	plugged := r.plug(stick)
	r.await("LED blinks", later, func() bool { return r.LED.Blinks(plugged) >= 2 })
	r.PowerCut()
	if err := r.Pull(stick); err != nil {
		t.Log("the stick went with the power:", err)
	}
	if err := r.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if slot := r.booted(2); slot != "A" {
		t.Fatalf("the board runs from %s", slot)
	}
	r.installs(NewStick(stick.Media[0]))
}

// TestBoardFailedInstallation plugs an image that fails while RAUC reads it:
// a block of it is damaged. The technician is told, nothing is left, and the
// next stick works.
func TestBoardFailedInstallation(t *testing.T) {
	parallel(t)
	r := running(t)
	files := append(rotation(t, r.parts), damaged(t, r.tiny(t, "update.image", "verity", "2")))
	done := r.through(r.plain("fat32", "DAMAGED", files...), "mount done", "keyring done", "image failed")
	if done.Code != 6 {
		t.Errorf("code %d: %s", done.Code, done)
	}
	if got := r.sh("systemctl is-active usbagent rauc; fw_printenv -n BOOT_ORDER"); got != "active\nactive\nA B" && got != "active\nactive\nA" {
		t.Errorf("after a failed installation: %q", got)
	}
	r.pullAll()
	r.clean()
	r.signer = r.fw.PKI.Customer
	r.next("a failed installation")
	r.installs(r.plain("fat32", "GOOD", r.tiny(t, "update.image", "verity", "2")))
	r.inSlotB(r.tinyImage(t))
}

// damaged is the bundle with one byte changed, far from its signature.
func damaged(t *testing.T, f File) File {
	t.Helper()
	data, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/3] ^= 1
	return File{Name: f.Name, Data: data}
}

// TestBoardScriptSwitchesSlots plugs a stick whose script makes the other slot the
// one that boots next, and which has an image for it: what was known of the slots
// before the script is no answer after it, and what waits for its first boot is
// not overwritten. A script that leaves the slots alone has its image installed.
func TestBoardScriptSwitchesSlots(t *testing.T) {
	parallel(t)
	r := running(t)
	image := r.bundle(t, "update.image", Bundle{Signer: r.fw.PKI.VendorImages, Format: "verity", Version: "2"})
	for name, line := range map[string]string{
		"rauc":      "rauc status mark-active other",
		"fw_setenv": `fw_setenv BOOT_ORDER "B A" && fw_setenv BOOT_B_LEFT 3`,
	} {
		files := append(signed(t, r.signer, "autorun.sh", []byte("#!/bin/sh\n# "+name+"\nset -e\n"+line+"\n")), image)
		stick := r.plain("fat32", "SWITCH", files...)
		r.plug(stick)
		done := r.finished(later)
		r.expect(done, "mount done", "autorun done", "image refused")
		if done.Code != 6 {
			t.Errorf("%s: %s", name, done)
		}
		r.pull(stick)
		r.sh(`fw_setenv BOOT_ORDER "A B"`)
	}
	if n := len(r.Starts()); n != 1 {
		t.Errorf("the board restarted: %d starts", n)
	}
	stick := r.plain("fat32", "INNOCENT", append(signed(t, r.signer, "autorun.sh", []byte("#!/bin/sh\nrauc status >/dev/null\n")), image)...)
	r.plug(stick)
	if slot := r.booted(2); slot != "B" {
		t.Fatalf("the board runs from %s", slot)
	}
}
