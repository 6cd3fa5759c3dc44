// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"strings"
	"testing"
)

// TestBoardTrustAfterRotation shows that the rotation is the whole board's:
// RAUC itself takes the customer's bundle now, and no longer the vendor's.
func TestBoardTrustAfterRotation(t *testing.T) {
	parallel(t)
	r := running(t)
	pki := r.fw.PKI
	vendor := r.bundle(t, "vendor.bundle", Bundle{Signer: pki.VendorImages, Format: "verity", Version: "v"})
	customer := r.tiny(t, "customer.bundle", "verity", "c")
	stick := r.plain("ext4", "TRUST", append(rotation(t, r.parts), vendor, customer)...)
	r.sh("test $(readlink /etc/rauc/keyring.pem) = vendor-ca.pem")
	r.through(stick, "mount done", "keyring done")
	if out := r.sh("rauc install /media/TRUST/vendor.bundle 2>&1 && echo taken || echo refused"); !strings.HasSuffix(out, "refused") ||
		!strings.Contains(out, "signature verification failed") {
		t.Errorf("the vendor's bundle after the rotation: %s", out)
	}
	if out := r.sh("rauc install /media/TRUST/customer.bundle 2>&1 && echo taken || echo refused"); !strings.HasSuffix(out, "taken") {
		t.Errorf("the customer's bundle after the rotation: %s", out)
	}
	r.pull(stick)
	back := r.plain("fat32", "OLD", script(t, pki.Vendor, effect)...)
	if done := r.through(back, "mount done", "autorun refused"); done.Code != 4 {
		t.Errorf("code %d: %s", done.Code, done)
	}
	r.pull(back)
	if r.runs() != 0 {
		t.Error("a script of the vendor ran after the rotation")
	}
}

// TestBoardScriptsAgain is the script that deletes its line from the list, and
// what systemd and udev repeat without a new plug.
func TestBoardScriptsAgain(t *testing.T) {
	parallel(t)
	r := running(t)
	const list = "/var/cache/usb-autorun/executed.list"
	stick := r.plain("fat32", "AGAIN", script(t, r.fw.PKI.Vendor,
		effect+"\nsum=$(md5sum autorun.sh | cut -c1-32)\ngrep -v $sum "+list+" >/run/l; cat /run/l >"+list)...)
	for i := range 3 {
		done := r.through(stick, "mount done", "autorun done")
		r.sh("udevadm trigger --action=add; udevadm trigger --action=change; udevadm settle; systemctl restart systemd-udev-trigger")
		r.shown(done) // and nothing more may happen
		if r.runs() != i+1 {
			t.Fatalf("after %d plugs the script ran %d times", i+1, r.runs())
		}
		r.pull(stick)
	}
	failing := r.plain("fat32", "FAILS", script(t, r.fw.PKI.Vendor, effect+"\nexit 3")...)
	if done := r.through(failing, "mount done", "autorun failed"); done.Code != 5 {
		t.Errorf("code %d: %s", done.Code, done)
	}
	r.pull(failing)
	r.through(failing, "mount done", "autorun skipped")
	r.pull(failing)
}

// TestBoardScriptCutOff cuts the power during a script and looks at the stick,
// still in, after the next boot; then a script ends the board by reboot.
func TestBoardScriptCutOff(t *testing.T) {
	parallel(t)
	r := running(t)
	stick := r.plain("fat32", "LONG", script(t, r.fw.PKI.Vendor, effect+"\nsync\nsleep 1000")...)
	r.plug(stick)
	r.await("the script began", later, func() bool { return r.runs() == 1 })
	r.sh("sync")
	r.PowerCut()
	if err := r.PowerOn(); err != nil {
		t.Fatal(err)
	}
	r.booted(2)
	done := r.finished(later)
	r.told(r.since, done)
	r.shown(done)
	for range 2 { // at the boot, and at the next plug
		if done.Code != 5 || r.runs() != 1 || !strings.Contains(done.Steps[1].Reason, "end not recorded") {
			t.Errorf("after the cut: %d runs, %s", r.runs(), done)
		}
		r.pull(stick)
		done = r.through(stick, "mount done", "autorun failed")
	}
	r.pull(stick)

	rebooting := r.plain("fat32", "REBOOT", script(t, r.fw.PKI.Vendor, "echo reboot >>/srv/reboots; sync; reboot")...)
	r.plug(rebooting)
	r.booted(3)
	done = r.finished(later)
	r.told(r.since, done)
	r.shown(done) // and no second reboot may come
	if got := r.file("/srv/reboots"); strings.Count(got, "reboot") != 1 || len(r.Starts()) != 3 {
		t.Errorf("the script rebooted %d times, the board started %d times", strings.Count(got, "reboot"), len(r.Starts()))
	}
	r.pull(rebooting)
	r.next("a script that reboots")
}

// TestBoardClock sets the clock to where a board without one may be: nothing
// that has to be accepted is refused. (RAUC itself looks at the time of its
// certificates; ours are valid at both.)
func TestBoardClock(t *testing.T) {
	parallel(t)
	r := running(t)
	r.sh("date -s 1970-01-02")
	files := append(rotation(t, r.parts), script(t, r.fw.PKI.Customer, "# 1970\n"+effect)...)
	stick := r.plain("fat32", "CLOCK", files...)
	r.through(stick, "mount done", "keyring done", "autorun done")
	r.pull(stick)
	if r.file("/etc/rauc/keyring.pem") != customerCA(t, r.parts) || r.runs() != 1 {
		t.Errorf("in 1970 the keyring did not change or the script did not run once: %d", r.runs())
	}
	r.sh("date -s 2037-01-01")
	r.signer = r.fw.PKI.Customer
	r.next("67 years")
	r.installs(r.plain("fat32", "CLOCK", r.tiny(t, "update.image", "verity", "2")))
	r.inSlotB(r.tinyImage(t))
}

// TestBoardClock2100: Debian's 32-bit systemd ends with the 32-bit time, in
// 2038, and takes the journal and the start of units with it. The agent does
// not: its steps on a mounted directory are as ever. (TestPCClock has the whole
// way in 2100, on a machine without systemd.)
func TestBoardClock2100(t *testing.T) {
	parallel(t)
	r := running(t)
	r.sh("systemctl stop usbagent; mkdir /run/stick")
	for _, f := range rotation(t, r.parts) {
		r.put("/run/stick/"+f.Name, string(f.Data))
	}
	r.sh("date -s 2100-01-01; usbagent process /run/stick 2>&1; date +%Y | grep -q 2100")
	if r.file("/etc/rauc/keyring.pem") != customerCA(t, r.parts) {
		t.Error("the keyring did not change in 2100")
	}
}
