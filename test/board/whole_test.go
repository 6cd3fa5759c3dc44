// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"strings"
	"testing"
	"time"
)

// effect is a script that says what it sees and counts its runs on /srv, which
// both slots share.
const effect = `echo run >>/srv/runs
echo "$0 in $(pwd) says $(cat /proc/self/mountinfo | grep -c " /media/") mount"
echo "problem" >&2`

// runs is how often effect ran on this board.
func (r *rig) runs() int { return strings.Count(r.file("/srv/runs"), "run") }

// TestBoardWholeStick is the product in one stick: the vendor signed the
// customer's keyring, the customer signed the script, the customer's PKI signed
// the image. Keyring, script, image, reboot into the other slot; the stick
// stays in, and nothing is installed again.
func TestBoardWholeStick(t *testing.T) {
	parallel(t)
	r := running(t)
	pki := r.fw.PKI
	files := append(rotation(t, r.parts), script(t, pki.Customer, effect)...)
	files = append(files, r.bundle(t, "update.image", Bundle{Signer: pki.CustomerImages, Format: "verity", Version: "2"}))
	stick := r.plain("fat32", "UPDATE", files...)

	if r.LED.On() {
		t.Error("LED on before the plug")
	}
	plugged := r.plug(stick)
	r.lit(plugged)
	r.await("script's lines in the journal", soon, func() bool {
		return strings.Contains(r.Console(0), "autorun.sh in /media/UPDATE says") && strings.Contains(r.Console(0), ": problem")
	})
	if r.file("/etc/rauc/keyring.pem") != customerCA(t, r.parts) {
		t.Error("the keyring is not the customer's")
	}
	if got := r.sh("readlink /etc/rauc/keyring.pem.previous; stat -c %a%F /etc/rauc/keyring.pem"); got != "vendor-ca.pem\n644regular file" {
		t.Errorf("kept keyring and new one: %q", got)
	}
	r.await("installing in status.json", soon, func() bool { return r.status().State == "installing" })
	r.await("LED blinks at 2 Hz", soon, func() bool { return r.LED.Blinks(plugged) >= 4 })

	for _, step := range []string{"mount", "keyring", "autorun", "image"} {
		r.journal(0, " step="+step+" result=done ", later)
	}
	if slot := r.booted(2); slot != "B" {
		t.Fatalf("the board runs from %s, want B", slot)
	}
	r.litToTheEnd()
	first := r.finished(later)
	r.expect(first, "mount done", "keyring done", "autorun done", "image skipped")
	r.told(r.since, first)
	r.shown(first)
	if n := r.runs(); n != 2 {
		t.Errorf("the script ran %d times, want once on each system", n)
	}
	if got := r.sh("fw_printenv -n BOOT_ORDER"); got != "B A" {
		t.Errorf("boot order %q", got)
	}
	if n := len(r.Starts()); n != 2 {
		t.Errorf("the board started %d times, want 2", n)
	}
	r.pull(stick)
	r.rotated(stick)
}

// litToTheEnd looks at when the LED went off last before the board restarted:
// the agent had been stopped and had left it on, and it was the kernel that
// switched its devices off.
func (r *rig) litToTheEnd() {
	r.t.Helper()
	restart := r.Starts()[1].At
	end, on := r.ConsoleSize(), false
	for _, e := range r.LED.Edges(time.Time{}) {
		switch {
		case e.On && e.At.Before(restart):
			end, on = r.ConsoleSize(), true
		case !e.On && on:
			end, on = e.Console, false
		}
	}
	if text := r.Console(0)[:end]; !strings.Contains(text, "Stopped usbagent.service") {
		r.t.Errorf("the LED went off before the board went down: %s", r.LED)
	}
}

// rotated plugs the same stick once more: the keyring is installed already,
// the script and the image are known.
func (r *rig) rotated(stick *Stick) {
	r.t.Helper()
	again := r.through(stick, "mount done", "keyring skipped", "autorun skipped", "image skipped")
	if again.Code != 0 || r.runs() != 2 || len(r.Starts()) != 2 {
		r.t.Errorf("a second plug changed something: %s, %d runs", again, r.runs())
	}
}
