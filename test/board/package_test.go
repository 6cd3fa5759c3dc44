// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// debs makes the package for the board in two versions.
func debs(t *testing.T) (older, newer string) {
	t.Helper()
	top, err := SourceRoot()
	if err != nil {
		t.Fatal(err)
	}
	build := func(version string) string {
		out := "build/board-package-" + version
		cmd := exec.Command("make", "package", "LINUX=build/usbagent-linux-armv7", "OUT="+out, "VERSION="+version)
		cmd.Dir = top
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make package: %v\n%s", err, tail(string(said), 3000))
		}
		return filepath.Join(top, out, "usbagent_"+version+"_armhf.deb")
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

// carry copies files to /srv by a stick, without the agent.
func (r *rig) carry(files ...File) {
	r.t.Helper()
	stick := r.stick("disk", Part{FileSystem: FileSystem{Type: "ext2", Files: files}})
	r.plug(stick)
	r.sh("i=0; while [ ! -b /dev/sda ]; do i=$((i+1)); [ $i -lt 600 ]; sleep 0.1; done; mkdir -p /run/carry; mount -o ro /dev/sda /run/carry; cp /run/carry/* /srv/; umount /run/carry; rmdir /run/carry; sync")
	if err := r.Pull(stick); err != nil {
		r.t.Fatal(err)
	}
	r.sh("i=0; while [ -b /dev/sda ]; do i=$((i+1)); [ $i -lt 600 ]; sleep 0.1; done")
}

// dpkg runs dpkg in the board.
func (r *rig) dpkg(args string) {
	r.t.Helper()
	r.sh("export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive; dpkg --force-confold " + args + " 2>&1")
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

// TestBoardPackage is the life of the .deb on a board that never had the
// agent: installed, upgraded with a stick in, exchanged by a signed script on
// a stick, removed with a stick in, purged, installed again.
func TestBoardPackage(t *testing.T) {
	parallel(t)
	older, newer := debs(t)
	r := bare(t)
	r.carry(File{Name: "older.deb", Path: older}, File{Name: "newer.deb", Path: newer})
	r.sh("mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/triggers /var/lib/dpkg/alternatives; touch /var/lib/dpkg/status /var/lib/dpkg/available")
	before := r.sh(settled)

	r.dpkg("-i /srv/older.deb")
	r.serves("0.0.1")
	if got := r.sh("systemctl is-enabled usbagent; systemctl show usbagent -p Type --value; usbagent run --check-config; udevadm control --reload"); got != "enabled\nnotify" && !strings.HasPrefix(got, "enabled\nnotify\n") {
		t.Errorf("after the installation: %s", got)
	}
	first := r.plain("fat32", "FIRST", script(t, r.signer, "# first\n"+effect)...)
	r.through(first, "mount done", "autorun done")
	if got := r.sh("udevadm info -q property -n /dev/sda1 | grep UDISKS | sort"); got != "UDISKS_AUTO=0\nUDISKS_IGNORE=1" {
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
	if got := r.sh("systemctl is-active usbagent; ls /media /etc/usbagent; wc -l </var/cache/usb-autorun/executed.list"); got != "inactive\n/etc/usbagent:\nconfig.toml\n\n/media:\n3" {
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
