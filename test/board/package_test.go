// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"crypto/md5"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// debs makes the package for the board in two later versions.
func debs(t *testing.T, c *Cache) (older, newer string) {
	t.Helper()
	build := func(version string) string {
		agent, err := buildVersion(c, "arm", version)
		if err != nil {
			t.Fatal(err)
		}
		return agent.Package
	}
	return build("0.0.1"), build("0.0.2")
}

// bare resumes a settled board that never had the agent on it.
func bare(t *testing.T) *rig {
	t.Helper()
	p := everything(t)
	booted, err := Booted(p.cache, p.fw)
	if err != nil {
		t.Fatal(err)
	}
	return newRig(t, p, func(change func(*Board)) (*Board, error) { return Resume(p.fw, booted, change) })
}

// dpkg runs dpkg in the board.
func (r *rig) dpkg(args string) {
	r.t.Helper()
	r.sh("env " + dpkgEnvironment + " dpkg --force-confold " + args + " 2>&1")
}

// serves waits until the agent of that version is at work.
func (r *rig) serves(version string) {
	r.t.Helper()
	r.await("the agent "+version+" is at work", later, func() bool {
		return strings.Contains(r.file("/run/usbagent/status.json"), `"version": "`+version+`"`) && r.sh("systemctl is-active usbagent; true") == "active"
	})
}

// settled is what is installed and configured, without dpkg's own books.
const settled = "find /etc /usr/bin /usr/lib/systemd /usr/lib/udev /usr/lib/tmpfiles.d /usr/share/doc /srv /media /var/cache /var/lib /run/usbagent -path /var/lib/dpkg -prune -o -path /var/lib/systemd -prune -o -print 2>/dev/null | sort"

// migrated: what shell scripts left on the board is named, and the stick whose
// script they ran is known.
func (r *rig) migrated(since int64, old *Stick) {
	r.t.Helper()
	r.journal(since, "a shell set-up for USB sticks is still there, and would handle each stick a second time: remove the udev rule and the unit that run it, then this directory", soon)
	r.through(old, "mount done", "autorun skipped")
	if r.runs() != 0 {
		r.t.Error("a script of the time before ran again")
	}
	r.pull(old)
	r.sh("rmdir /etc/usb-mount.d")
}

// TestBoardPackage is the life of the .deb on a board that had shell scripts in
// place of the agent: installed, upgraded with a stick in, exchanged by a
// signed script on a stick, removed with a stick in, purged, installed again.
func TestBoardPackage(t *testing.T) {
	parallel(t)
	r := bare(t)
	older, newer := debs(t, r.cache)
	ctx, cancel := context.WithTimeout(t.Context(), later)
	defer cancel()
	if err := r.Carry(ctx, "/srv", File{Name: "older.deb", Path: older}, File{Name: "newer.deb", Path: newer}); err != nil {
		t.Fatal(err)
	}
	before := r.sh(settled)

	old := script(t, r.signer, "# ran before\n"+effect)
	r.sh(fmt.Sprintf("mkdir -p /etc/usb-mount.d /var/cache/usb-autorun; echo '%x  autorun.sh' >/var/cache/usb-autorun/executed.list", md5.Sum(old[0].Data)))
	since := r.ConsoleSize()
	r.dpkg("-i /srv/older.deb")
	r.serves("0.0.1")
	r.migrated(since, r.plain("ext4", "OLD", old...))
	if got := r.sh("systemctl is-enabled usbagent; systemctl show usbagent -p Type --value; usbagent run --check-config; udevadm control --reload"); got != "enabled\nnotify" && !strings.HasPrefix(got, "enabled\nnotify\n") {
		t.Errorf("after the installation: %s", got)
	}
	first := r.plain("fat32", "FIRST", script(t, r.signer, "# first\n"+effect)...)
	r.through(first, "mount done", "autorun done")
	if got := r.sh("udevadm settle --timeout=300; udevadm info -q property -n /dev/sda1 | grep UDISKS | sort"); got != "UDISKS_AUTO=0\nUDISKS_IGNORE=1" {
		t.Errorf("udisks would show the stick: %q", got)
	}
	if got := r.sh("udevadm info -q property -n /dev/mmcblk0p1 | grep UDISKS; true"); got != "" {
		t.Errorf("udisks would not show what is no stick: %q", got)
	}

	r.dpkg("-i /srv/newer.deb")
	r.serves("0.0.2")
	r.await("the stick is mounted", soon, func() bool { return r.exists("/media/FIRST/autorun.sh") && r.mounts() == 1 })
	time.Sleep(3 * time.Second) // nothing may happen now
	if r.runs() != 1 {
		t.Errorf("the script ran %d times after an upgrade with the stick in", r.runs())
	}
	r.pull(first)

	byScript := r.plain("ext4", "BYSCRIPT", script(t, r.signer, "dpkg -i /srv/older.deb\n"+effect+"\necho end >/srv/end; sync")...)
	r.plug(byScript)
	r.await("the script ended", 3*time.Minute, func() bool { return r.file("/srv/end") != "" })
	r.serves("0.0.1")
	if done := r.finished(later); done.Code != 0 {
		t.Errorf("the stick whose script exchanged the agent: %s", done)
	}
	if r.runs() != 2 {
		t.Errorf("the scripts ran %d times", r.runs())
	}
	r.pull(byScript)

	last := r.plain("exfat", "LAST", script(t, r.signer, "# last\n"+effect)...)
	r.through(last, "mount done", "autorun done")
	r.dpkg("-r usbagent")
	r.await("nothing is mounted", soon, func() bool { return r.mounts() == 0 && !r.LED.On() })
	if got := r.sh("systemctl is-active usbagent; ls /media /etc/usbagent; wc -l </var/cache/usb-autorun/executed.list"); got != "inactive\n/etc/usbagent:\nconfig.toml\n\n/media:\n4" {
		t.Errorf("after the removal: %q", got)
	}
	r.pull(last)
	r.dpkg("-P usbagent")
	r.sh("rm -f /srv/runs /srv/end")
	was := strings.Split(before, "\n")
	var left []string
	for path := range strings.SplitSeq(r.sh(settled), "\n") {
		if !slices.Contains(was, path) {
			left = append(left, path)
		}
	}
	if got := strings.Join(left, " "); got != "/var/cache/usb-autorun /var/cache/usb-autorun/executed.list" {
		t.Errorf("the purge left %s", got)
	}

	r.dpkg("-i /srv/newer.deb")
	r.serves("0.0.2")
	r.plug(first)
	r.expect(r.finished(later), "mount done", "autorun skipped")
	r.pull(first)
	r.next("an installation after a purge")
}

// ofPackage prints what the package and its scripts left below a root: mode,
// owner, name, and where a link leads or what a file holds.
const ofPackage = `cd %s
find etc var/cache var/lib .usr/upper -path '*usbagent*' -o -path '*usb-autorun*' | sort | while read -r f; do
	stat -c '%%A %%U:%%G %%n' "$f"; [ ! -L "$f" ] || readlink "$f"; [ ! -f "$f" ] || sha256sum <"$f"
done
cat var/lib/dpkg/status`

// TestBoardInstalled: what every scenario runs is the package. dpkg on the
// running board and the board's dpkg in the slot image that was made on the
// host left the same, and the program that runs is the package's.
func TestBoardInstalled(t *testing.T) {
	parallel(t)
	r := running(t)
	if got, want := r.sh("dpkg-query -W -f '${db:Status-Status} ${Version} ${Architecture}' usbagent; dpkg -V usbagent"), "installed "+agentVersion+" armhf"; got != want {
		t.Errorf("dpkg says %q, want %q", got, want)
	}
	if got, want := r.sh("sha256sum </proc/$(systemctl show usbagent -p MainPID --value)/exe; systemctl is-enabled usbagent"), hostSum(t, r.agent.Binary)+"  -\nenabled"; got != want {
		t.Errorf("the agent at work is %s, want %s", got, want)
	}
	r.sh("mkdir /run/other; mount -o ro /dev/mmcblk0p2 /run/other")
	here, there := r.sh(fmt.Sprintf(ofPackage, "/")), r.sh(fmt.Sprintf(ofPackage, "/run/other"))
	if here != there || strings.Count(here, "\n") < 40 {
		t.Errorf("dpkg on the running board left\n%s\n\nand in the slot image\n%s", here, there)
	}
}
