// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPCBusyboxInit is the first boot of a board whose init is busybox, which
// starts the agent by the line in docs/integrator.md: what is missing is told
// in one line, a stick is served as far as that goes, an agent that dies is
// started again, and init's restart and halt end agent and mounts in time.
func TestPCBusyboxInit(t *testing.T) {
	parallel(t)
	r := small(t, func() (parts, error) {
		p, err := builtPC()
		if err == nil {
			p.fw, err = BuildBusybox(p.cache, p.agent)
		}
		return p, err
	})
	p := r.parts
	pid := r.status().PID
	if got := r.sh("readlink /proc/1/exe; cat /proc/1/comm; tr '\\0' ' ' </proc/" + strconv.Itoa(pid) + "/cmdline; awk '/^PPid/{print $2}' /proc/" + strconv.Itoa(pid) + "/status"); got != "/bin/busybox\ninit\n/usr/bin/usbagent run 1" {
		t.Errorf("init and the agent: %q", got)
	}
	r.lacking()

	files := append(rotation(t, p), script(t, p.fw.PKI.Customer, "mkdir -p /srv\n"+effect)...)
	stick := r.plain("fat32", "FIRST", append(files, r.tiny(t, "update.image", "verity", "2"))...)
	r.plug(stick)
	done := r.finished(later)
	r.expect(done, "mount done", "keyring done", "autorun done", "image failed")
	if done.Code != 6 || r.runs() != 1 || r.file("/etc/rauc/keyring.pem") != customerCA(t, p) || done.Mountpoint != "/media/FIRST" {
		t.Errorf("%d runs, %s", r.runs(), done)
	}

	r.sh("kill -KILL " + strconv.Itoa(pid))
	pid = r.respawned(pid)
	time.Sleep(3 * time.Second) // nothing may happen now
	if r.runs() != 1 || !r.exists("/media/FIRST/autorun.sh") {
		t.Errorf("after init started the agent again: %d runs", r.runs())
	}
	if waited := r.sh("p=" + strconv.Itoa(pid) + "; kill -TERM $p; i=0; while [ -d /proc/$p ] && [ $i -lt 500 ]; do i=$((i+1)); usleep 10000; done; echo $i"); waited == "500" {
		t.Error("the agent does not end within 5 s")
	}
	r.respawned(pid)
	r.pull(stick)

	rebooting := r.plain("fat32", "REBOOT", script(t, p.fw.PKI.Customer, "echo reboot >>/srv/reboots; sync; reboot")...)
	since := r.ConsoleSize()
	r.plug(rebooting)
	r.await("the board restarts", later, func() bool { return len(r.Starts()) == 2 })
	r.wentDown(since)
	r.await("the agent is at work again", later, func() bool { return r.status().State != "" })
	done = r.finished(later)
	if got := r.file("/srv/reboots"); got != "reboot\n" || len(r.Starts()) != 2 { // whether its end was seen before the restart or not
		t.Errorf("after a script that reboots: %q, %d starts, %s", got, len(r.Starts()), done)
	}

	since = r.ConsoleSize()
	r.sh("(sleep 1; halt) >/dev/null 2>&1 &")
	r.await("the kernel halts", soon, func() bool { return strings.Contains(r.Console(since), "reboot: System halted") })
	r.wentDown(since)
	disk := r.PowerCut().Path
	if err := errors.Join(command(nil, "e2fsck", "-E", "journal_only", "-p", disk), command(nil, "e2fsck", "-n", "-f", disk)); err != nil {
		t.Error(err)
	}
}

// respawned waits until init has started another agent than the one of before.
func (r *rig) respawned(before int) (pid int) {
	r.t.Helper()
	r.await("init starts another agent", soon, func() bool {
		pid = r.status().PID
		return pid != before && pid != 0
	})
	return pid
}

// wentDown: when init took the board down, the agent ended by itself, with all
// undone that it had mounted, before init killed what was left.
func (r *rig) wentDown(since int64) {
	r.t.Helper()
	text := r.Console(since)
	stopping, killed := strings.Index(text, "stopping signal=terminated"), strings.Index(text, "Sent SIGKILL to all processes")
	if stopping < 0 || killed < stopping || strings.Contains(text, "could not be undone") || strings.Contains(text, "sda1 busy") {
		r.t.Errorf("init took the board down like this:\n%s", text)
	}
}

// lacking: the one line that says what this board lacks, as init shows it.
func (r *rig) lacking() {
	r.t.Helper()
	const begin = "this board lacks something, the work goes on without it"
	_, line, _ := strings.Cut(r.Console(0), begin)
	line, _, _ = strings.Cut(line, "\n")
	for _, what := range []string{"RAUC's /etc/rauc/system.conf (no image will be installed)", "the D-Bus system bus", "systemd (scripts run in sessions of the agent's own)", "a LED that is known"} {
		if strings.Count(line, what) != 1 {
			r.t.Errorf("the line on what this board lacks does not tell of %s: %s", what, line)
		}
	}
	if strings.Contains(line, "keyring") || strings.Contains(line, "lasting") || strings.Count(r.Console(0), begin) != 1 {
		r.t.Errorf("on what this board lacks: %s", line)
	}
}
