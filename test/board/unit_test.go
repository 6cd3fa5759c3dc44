// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBoardColdplug boots a board with a stick in: the agent starts with the
// system, says it is ready, and handles the stick once, after the boot.
func TestBoardColdplug(t *testing.T) {
	parallel(t)
	p := everything(t)
	path := t.TempDir() + "/stick.img"
	files := script(t, p.fw.PKI.Vendor, effect+"\nsystemctl is-system-running >>/srv/state")
	if err := WriteStick(path, "mbr", Part{FileSystem: FileSystem{Type: "fat32", Label: "COLD", Files: files}}); err != nil {
		t.Fatal(err)
	}
	stick := NewStick(path)
	r := cold(t, nil, stick)
	r.booted(1)
	t.Logf("boot to running: %.1f s, by the guest's clock %s s", time.Since(r.began).Seconds(), strings.Fields(r.file("/proc/uptime"))[0])
	done := r.finished(later)
	r.expect(done, "mount done", "autorun done")
	r.lit(r.began)
	r.told(0, done)
	r.shown(done)
	if got := r.sh("systemctl show usbagent -p Type -p ActiveState -p WatchdogUSec -p NRestarts"); !strings.Contains(got, "Type=notify") ||
		!strings.Contains(got, "ActiveState=active") || strings.Contains(got, "WatchdogUSec=0") || !strings.Contains(got, "NRestarts=0") {
		t.Errorf("unit: %s", got)
	}
	r.sh("udevadm trigger --action=add; udevadm settle")
	time.Sleep(2 * time.Second) // nothing may happen now
	if r.runs() != 1 {
		t.Errorf("the script ran %d times", r.runs())
	}
	r.pull(stick)
	r.next("coldplug")
}

// TestBoardUnit holds the unit to what is promised: no mount namespace of its
// own, restart after a crash with what the crash left cleaned up, and scripts
// that outlive the agent.
func TestBoardUnit(t *testing.T) {
	parallel(t)
	r := running(t)
	t.Run("NoNamespace", func(t *testing.T) { r.on(t, noNamespace) })
	t.Run("Killed", func(t *testing.T) { r.on(t, killed) })
	t.Run("KilledAndPulled", func(t *testing.T) { r.on(t, killedAndPulled) })
	t.Run("ScriptRestartsTheAgent", func(t *testing.T) { r.on(t, restartingScript) })
	t.Run("ScriptReplacesTheAgent", func(t *testing.T) { r.on(t, replacingScript) })
	t.Run("Watchdog", func(t *testing.T) { r.on(t, watchdog) })
}

// noNamespace: the agent, RAUC's service and a shell see the same mount.
func noNamespace(r *rig) {
	pid := r.sh("systemctl show usbagent -p MainPID --value")
	if got := r.sh(fmt.Sprintf("readlink /proc/1/ns/mnt /proc/%s/ns/mnt | sort -u | wc -l", pid)); got != "1" {
		r.t.Error("the agent has a mount namespace of its own")
	}
	stick := r.plain("fat32", "SEEN", script(r.t, r.fw.PKI.Vendor, effect)...)
	r.through(stick, "mount done", "autorun done") // with the LED
	r.sh("systemctl start rauc")
	rauc := r.sh("systemctl show rauc -p MainPID --value")
	for _, p := range []string{"self", rauc} {
		if got := r.sh("grep -c ' /media/SEEN ' /proc/" + p + "/mountinfo"); got != "1" {
			r.t.Errorf("process %s sees %s mounts of the stick", p, got)
		}
	}
	r.pull(stick)
}

// killed: SIGKILL while a stick is in; the new agent takes the mount over and
// does nothing again.
func killed(r *rig) {
	stick := r.plain("ntfs", "KEPT", script(r.t, r.fw.PKI.Vendor, "# kept\n"+effect)...)
	done := r.through(stick, "mount done", "autorun done")
	since := r.ConsoleSize()
	before, pid := r.runs(), r.status().PID
	r.sh("systemctl kill -s KILL usbagent")
	r.up(pid)
	r.journal(since, "stick was handled before in this boot, nothing is done again", soon)
	r.await("the mount is there", soon, func() bool { return r.exists("/media/KEPT/autorun.sh") })
	r.shown(done) // and nothing more may happen
	if r.runs() != before {
		r.t.Error("the script ran again")
	}
	r.pull(stick)
	r.next("a crash with a stick in")
}

// killedAndPulled: the stick goes while there is no agent.
func killedAndPulled(r *rig) {
	stick := r.plain("fat32", "GONE", script(r.t, r.fw.PKI.Vendor, "# gone\n"+effect)...)
	r.through(stick, "mount done", "autorun done")
	pid := r.status().PID
	r.sh("systemctl kill -s STOP usbagent")
	if err := r.Pull(stick); err != nil {
		r.t.Fatal(err)
	}
	r.sh("systemctl kill -s KILL usbagent")
	r.up(pid)
	r.clean()
	r.next("a pull while the agent was dead")
}

// restartingScript restarts the agent it was started by and goes on.
func restartingScript(r *rig) {
	before := r.runs()
	stick := r.plain("fat32", "AGAIN", script(r.t, r.fw.PKI.Vendor,
		"# restarting\nsystemctl restart usbagent\nsleep 1\n"+effect+"\necho end >/srv/end")...)
	r.outlived(stick, before)
	r.next("a script that restarts the agent")
}

// outlived plugs a stick whose script ends the agent and goes on: a new agent
// sees its end, and it does not run again.
func (r *rig) outlived(stick *Stick, before int) {
	r.t.Helper()
	since := r.ConsoleSize()
	r.lit(r.plug(stick))
	r.await("the script ended", later, func() bool { return r.file("/srv/end") != "" })
	done := r.finished(later)
	r.expect(done, "mount done", "autorun done")
	r.told(since, done)
	r.shown(done) // and no second run may come
	if r.runs() != before+1 {
		r.t.Errorf("the script ran %d times", r.runs()-before)
	}
	r.pull(stick)
	r.sh("rm /srv/end")
}

// replacingScript puts another binary in the agent's place, as a package's
// update would, and restarts it.
func replacingScript(r *rig) {
	before := r.runs()
	stick := r.plain("fat32", "NEW", script(r.t, r.fw.PKI.Vendor,
		"cp "+binaryPath+" "+binaryPath+".new && mv "+binaryPath+".new "+binaryPath+" && systemctl stop usbagent && systemctl start usbagent\n"+effect+"\necho end >/srv/end")...)
	r.outlived(stick, before)
	r.next("a script that replaces the agent")
}

// watchdog: an agent that hangs is ended and started again by systemd.
func watchdog(r *rig) {
	r.sh("mkdir -p /run/systemd/system/usbagent.service.d; printf '[Service]\\nWatchdogSec=6\\n' >/run/systemd/system/usbagent.service.d/w.conf; systemctl daemon-reload; systemctl restart usbagent")
	before := r.sh("systemctl show usbagent -p NRestarts --value")
	time.Sleep(15 * time.Second)
	if got := r.sh("systemctl show usbagent -p NRestarts --value"); got != before {
		r.t.Errorf("the watchdog bites a healthy agent: %s restarts, then %s", before, got)
	}
	pid := r.status().PID
	r.sh("systemctl kill -s STOP usbagent")
	r.up(pid)
	r.sh("rm -r /run/systemd/system/usbagent.service.d; systemctl daemon-reload; systemctl restart usbagent")
	r.next("a hang")
}
