// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"usbagent/test/booted"
)

// What there is in the container.
const (
	insideTarget = "/media/STICK"
	insideRunDir = "/run/usbagent"
	insideLog    = "/shared/agent.log"
)

// box is a booted systemd with the shipped unit, whose program is the agent of
// session_linux_test.go.
type box struct {
	*booted.Machine
	t  *testing.T
	n  int    // scripts so far
	id string // of the newest
	// env is the environment of the agents that are started.
	env map[string]string
}

func boot(t *testing.T) *box {
	t.Helper()
	text, err := os.ReadFile("../deploy/usbagent.service")
	if err != nil {
		t.Fatal(err)
	}
	// NOTIFY_SOCKET is used by a shell, since this agent knows no sd_notify(3).
	start := "ExecStart=/bin/sh -c 'systemd-notify --ready; exec " + booted.Program + " " + agentCommand + " " + insideRunDir + " " + insideTarget + " >>" + insideLog + " 2>&1'\n" +
		"EnvironmentFile=-/shared/env\nNotifyAccess=all\nWatchdogSec=0\n"
	unit := regexp.MustCompile(`(?m)^(ExecStart|NotifyAccess|WatchdogSec)=.*\n`).ReplaceAllString(string(text), "")
	unit = strings.Replace(unit, "[Service]\n", "[Service]\n"+start, 1)
	b := &box{Machine: booted.Boot(t, map[string]string{"usbagent.service": unit}), t: t, env: map[string]string{}}
	b.insert()
	return b
}

// insert mounts a stick that holds other bytes than those that were verified.
func (b *box) insert() {
	b.t.Helper()
	b.Run(b.t, "mkdir", "-p", insideTarget)
	b.Run(b.t, "mount", "-t", "tmpfs", "-o", "nosuid,nodev", "stick", insideTarget)
	b.WriteFile(b.t, insideTarget+"/"+ScriptName, "echo unverified bytes were executed\n")
}

// start starts a new agent with a verified script.
func (b *box) start(script string) {
	b.t.Helper()
	b.systemctl("stop", "usbagent")
	b.n++
	b.id = fmt.Sprintf("run-%d", b.n)
	b.WriteFile(b.t, insideTarget+".id", b.id)
	b.WriteFile(b.t, insideTarget+".verified", "echo BEGIN\n"+script)
	var env strings.Builder
	for name, value := range b.env {
		fmt.Fprintf(&env, "%s=%s\n", name, value)
	}
	writeFile(b.t, filepath.Join(b.Shared, "env"), env.String())
	b.systemctl("start", "usbagent")
}

// run runs script with a new agent to the agent's word about its end, and
// returns that and the script's lines in the journal.
func (b *box) run(script string) (end, output string) {
	b.t.Helper()
	b.start(script)
	return b.end(), b.journal()
}

// with sets a variable of the agents' environment until the test ends.
func (b *box) with(t *testing.T, name, value string) {
	b.env[name] = value
	t.Cleanup(func() { delete(b.env, name) })
}

func (b *box) systemctl(args ...string) {
	b.t.Helper()
	b.Run(b.t, append([]string{"systemctl"}, args...)...)
}

func (b *box) log() []string {
	text, _ := os.ReadFile(filepath.Join(b.Shared, "agent.log"))
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func (b *box) waitFor(line string) {
	b.t.Helper()
	waitUntil(b.t, "line "+line+" of the agent", func() bool { return slices.Contains(b.log(), line) })
}

// end waits until the agent has released a script, and returns its word about
// the end. It empties the agent's log.
func (b *box) end() string {
	b.t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		log := b.log()
		i := slices.Index(log, "agent: released -")
		if i < 1 {
			continue
		}
		os.Truncate(filepath.Join(b.Shared, "agent.log"), 0)
		return strings.TrimPrefix(log[i-1], "agent: ")
	}
	b.t.Fatalf("no end; agent: %q\njournal:\n%s", b.log(), b.Journal(b.t))
	return ""
}

// journal returns the lines of the newest script.
func (b *box) journal() string {
	b.t.Helper()
	b.Run(b.t, "journalctl", "--sync")
	text := b.Run(b.t, "journalctl", "-b", "-t", SyslogIdentifier, "-o", "cat", "--no-pager")
	return strings.TrimSpace(text[strings.LastIndex(text, "BEGIN\n")+len("BEGIN\n"):])
}

// waiting are the units of scripts in which something runs or waits.
func (b *box) waiting() string {
	b.t.Helper()
	return b.Run(b.t, "systemctl", "list-units", "--no-legend", "--plain", "--state=active,activating,deactivating", UnitPrefix+"*")
}

// The story of one board with systemd; the container is booted once. Each part
// is told twice: the script's unit is made when it is needed, and was prepared.
func TestUnit(t *testing.T) {
	b := boot(t)
	for _, prepared := range []bool{false, true} {
		for _, part := range []struct {
			name string
			test func(*testing.T)
		}{
			{"root login", b.testRootLogin},
			{"reads itself", b.testReadsItself},
			{"exits", b.testExits},
			{"last lines", b.testLastLines},
			{"timeout", b.testTimeout},
			{"restarts agent", b.testRestartsAgent},
			{"stops agent", b.testStopsAgent},
			{"agent killed", b.testAgentKilled},
			{"children", b.testChildren},
			{"daemon-reexec", b.testReexec},
			{"unit stopped", b.testUnitStopped},
			{"one address", b.testOneAddress},
			{"pulled", b.testPulled},
			{"pulled at once", b.testGone},
			{"lost directory", b.testLostDirectory},
		} {
			t.Run(fmt.Sprintf("%s, prepared %v", part.name, prepared), func(t *testing.T) {
				if b.t = t; prepared {
					b.with(t, "TEST_PREPARE", "1")
				}
				part.test(t)
			})
		}
	}
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"standby", b.testStandby},
		{"standby killed", b.testStandbyKilled},
		{"agent of another version", b.testForeign},
		{"start while stopping", b.testStartWhileStopping},
		{"reboot", b.testReboot}, // the last: it ends the container
	} {
		t.Run(part.name, func(t *testing.T) {
			b.t = t
			part.test(t)
		})
	}
}

func (b *box) testRootLogin(t *testing.T) {
	end, got := b.run(`echo "$0 $#"; pwd; readlink /proc/$$/fd/0; echo "umask $(umask) nice $(nice) slack $(cat /proc/$$/timerslack_ns)"; cat /proc/$$/oom_score_adj
tr '\0' ' ' </proc/$$/cmdline; echo; tr '\0' '\n' </proc/$$/environ | sed 's/=.*_ID.*//' | grep -vE '^(LANG|INVOCATION_ID|JOURNAL_STREAM)=' | sort
ls -l /proc/$$/fd | sed -n 's/.* \([0-9]* ->\)/fd \1/; s/:.*//; /^fd/p'
for what in CapBnd CapEff NoNewPrivs 'Seccomp:' SigIgn; do
	[ "$(grep $what /proc/1/status)" = "$(grep $what /proc/$$/status)" ] || grep $what /proc/$$/status
done
agent=$(systemctl show --value -p MainPID usbagent)
[ $(readlink /proc/1/ns/mnt) = $(readlink /proc/$agent/ns/mnt) ] || echo "the agent has a mount namespace of its own"
grep -q 'NoNewPrivs:.1' /proc/$agent/status && grep -q 'Seccomp:.2' /proc/$agent/status || echo "the agent is not confined"
for ns in mnt net ipc uts user; do [ $(readlink /proc/1/ns/$ns) = $(readlink /proc/$$/ns/$ns) ] || echo own $ns; done
grep ^0:: /proc/$$/cgroup; unshare --user true && mount -t tmpfs x /mnt && umount /mnt && echo free; echo to stderr >&2`)
	want := `autorun.sh 0
` + insideTarget + `
/dev/null
umask 0022 nice 0 slack 50000
0
/bin/sh autorun.sh
HOME=/root
LOGNAME=root
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
SHELL=/bin/sh
USER=root
fd 0 -> /dev/null
fd 1 -> socket
fd 10 -> ` + insideTarget + `/autorun.sh
fd 2 -> socket
0::/system.slice/UNIT
free
to stderr`
	got = regexp.MustCompile(UnitPrefix+`[0-9a-z]+\.service`).ReplaceAllString(got, "UNIT")
	got = regexp.MustCompile(`(?m)^SigIgn.*\n`).ReplaceAllString(strings.ReplaceAll(got, "autorun.sh \n", "autorun.sh\n"), "")
	if got != want || end != "ended with status 0 -" {
		t.Errorf("%s, journal:\n%s\nwant:\n%s", end, got, want)
	}
}

func (b *box) testReadsItself(t *testing.T) {
	_, got := b.run(`[ "$S" ] || S=1 exec sh "$0"
tail -n1 "$0"; (echo evil >autorun.sh) 2>/dev/null || echo read-only
exit
last`)
	if !strings.HasSuffix(got, "last\nread-only") {
		t.Errorf("journal:\n%s", got)
	}
	text, err := os.ReadFile(b.Path(insideTarget + "/" + ScriptName))
	if err != nil || !strings.Contains(string(text), "unverified") {
		t.Errorf("after the end the name on the stick is %q, %v", text, err)
	}
}

func (b *box) testExits(t *testing.T) {
	for script, want := range map[string]string{
		"exit 77":         "ended with status 77 -",
		"kill -SEGV $$":   "ended by SIGSEGV -",
		"kill -9 $$":      "ended by SIGKILL -",
		"exec no-such":    "ended with status 127 -",
		"sleep 0.2":       "ended with status 0 -",
		"setsid sleep 9&": "ended with status 0 -",
	} {
		if end, _ := b.run(script); end != want {
			t.Errorf("%q: %s, want %s", script, end, want)
		}
		waitUntil(t, "end of the unit", func() bool { return b.waiting() == "" })
	}
}

// testLastLines: the agent, confined as shipped, gets the script's own last
// lines out of the journal.
func (b *box) testLastLines(t *testing.T) {
	b.with(t, "TEST_LAST", "1")
	b.start(`echo one; echo two; printf 'thr\033ee'; exit 3`)
	b.waitFor(`agent: last two|thr\x1bee -`)
	if end := b.end(); end != "ended with status 3 -" {
		t.Error(end)
	}
}

func (b *box) testTimeout(t *testing.T) {
	b.with(t, "TEST_TIMEOUT", "5s")
	end, got := b.run(`(trap '' TERM; sleep 301) & setsid sleep 303 & trap 'echo trapped; exit 3' TERM; sleep 302 & wait`)
	if end != "ended because it ran longer than allowed -" || got != "trapped" {
		t.Errorf("%s, journal: %s", end, got)
	}
	waitUntil(t, "end of the children", func() bool {
		out, _ := b.Command("pgrep", "-f", "^sleep 30[123]").Output()
		return len(out) == 0
	})
}

func (b *box) testRestartsAgent(t *testing.T) {
	b.start("systemctl restart usbagent && echo restarted; sleep 0.3; exit 4")
	b.waitFor("agent: adopted " + b.id)
	if end := b.end(); end != "ended with status 4 -" || b.journal() != "restarted" {
		t.Errorf("%s, journal: %s", end, b.journal())
	}
}

func (b *box) testStopsAgent(t *testing.T) {
	b.start("systemctl stop usbagent && echo stopped; exit 5")
	b.waitFor("agent: told to stop")
	kept := b.Path(filepath.Join(insideRunDir, scriptDir, b.id, exitFile))
	waitUntil(t, "end of the script", func() bool { _, err := os.Stat(kept); return err == nil })
	if text, err := os.ReadFile(kept); !strings.Contains(string(text), `"status":5`) {
		t.Errorf("kept for the next agent: %s, %v", text, err)
	}
	b.systemctl("start", "usbagent")
	if end := b.end(); end != "ended with status 5 -" || b.journal() != "stopped" {
		t.Errorf("%s, journal: %s", end, b.journal())
	}
}

func (b *box) testAgentKilled(t *testing.T) {
	end, got := b.run(`systemctl kill --kill-whom=all -s KILL usbagent; sleep 2; echo still here; exit 6`)
	if end != "ended with status 6 -" || got != "still here" {
		t.Errorf("%s, journal: %s", end, got)
	}
}

func (b *box) testChildren(t *testing.T) {
	end, _ := b.run(`(sleep 1; echo late) &`)
	if end != "ended with status 0 -" {
		t.Error(end)
	}
	waitUntil(t, "line of the child", func() bool { return b.journal() == "late" })
}

func (b *box) testReexec(t *testing.T) {
	end, _ := b.run(`systemctl daemon-reexec; sleep 1; systemctl daemon-reload; sleep 0.5; exit 8`)
	if end != "ended with status 8 -" {
		t.Error(end)
	}
}

func (b *box) testUnitStopped(t *testing.T) {
	end, got := b.run(`systemctl stop $(basename $(sed -n s/^0:://p /proc/$$/cgroup)); echo not reached`)
	if end != "ended by SIGTERM -" || got != "" {
		t.Errorf("%s, journal: %s", end, got)
	}
}

// The stick is pulled while the script runs, from within the confined unit.
func (b *box) testPulled(t *testing.T) {
	b.with(t, "TEST_PULL", "1")
	defer os.Remove(filepath.Join(b.Shared, "running"))
	end, got := b.run(`[ "$again" ] && echo again && exit; again=1; : >/shared/running; while [ -d ` + insideTarget + ` ]; do sleep 0.02; done; . ./autorun.sh`)
	if end != "ended with status 0 -" || got != "again" {
		t.Errorf("%s, journal: %s", end, got)
	}
	b.insert()
}

// Where systemd can be reached in one way only.
func (b *box) testOneAddress(t *testing.T) {
	for _, address := range []string{busAddress(), privateAddress} {
		b.with(t, "TEST_BUS", address)
		if end, got := b.run("echo reached; exit 9"); end != "ended with status 9 -" || got != "reached" {
			t.Errorf("%s: %s, journal: %s", address, end, got)
		}
	}
}

// The directory of a running script is removed: the next agent waits for the
// end of its unit, whose status systemd has shown.
func (b *box) testLostDirectory(t *testing.T) {
	b.start("rm -r " + insideRunDir + "/" + scriptDir + "; touch /shared/running; systemctl restart usbagent; while [ -e /shared/running ]; do sleep 0.05; done; exit 7")
	waitUntil(t, "adoption", func() bool { return strings.Contains(strings.Join(b.log(), "\n"), "agent: adopted ") })
	os.Remove(filepath.Join(b.Shared, "running"))
	if end := b.end(); end != "ended, status unknown -" && end != "ended with status 7 -" {
		t.Error(end)
	}
	b.Run(t, "umount", insideTarget+"/"+ScriptName) // what it was is lost, too
	b.Run(t, "umount", insideTarget)
	b.insert()
}

// What waits for a script uses no processor time, leaves with its agent, and is
// replaced where somebody has ended it.
func (b *box) testStandby(t *testing.T) {
	b.with(t, "TEST_PREPARE", "1")
	b.run("") // with the environment that stays
	b.systemctl("stop", "usbagent")
	os.Truncate(filepath.Join(b.Shared, "agent.log"), 0)
	b.systemctl("start", "usbagent")
	b.waitFor("agent: prepared -")
	fields := strings.Fields(b.waiting())
	if len(fields) == 0 {
		t.Fatal("nothing waits")
	}
	pid := strings.TrimSpace(b.Run(t, "systemctl", "show", "--value", "-p", "MainPID", fields[0]))
	waitUntil(t, "standstill", func() bool {
		stat, _ := os.ReadFile(b.Path("/proc/" + pid + "/stat"))
		return strings.Contains(string(stat), ") T ")
	})
	b.systemctl("kill", "--kill-whom=all", "--signal=KILL", "usbagent")
	waitUntil(t, "another that waits for the next agent", func() bool {
		now := strings.Fields(b.waiting())
		return len(now) > 0 && now[0] != fields[0] && !strings.Contains(strings.Join(now, " "), fields[0])
	})
	b.systemctl("stop", "usbagent")
	waitUntil(t, "end of the unit", func() bool { return b.waiting() == "" })
	os.Truncate(filepath.Join(b.Shared, "agent.log"), 0)
}

func (b *box) testStandbyKilled(t *testing.T) {
	b.with(t, "TEST_PREPARE", "1")
	b.with(t, "TEST_STOP_STANDBY", "1")
	if end, got := b.run("echo in another; exit 3"); end != "ended with status 3 -" || got != "in another" {
		t.Errorf("%s, journal: %s", end, got)
	}
}

// A script that an agent of an earlier version started: its unit's main process
// is the shell, and nobody listens.
func (b *box) testForeign(t *testing.T) {
	b.systemctl("stop", "usbagent")
	dir := insideRunDir + "/" + scriptDir + "/old"
	b.Run(t, "mkdir", "-p", dir)
	b.WriteFile(t, dir+"/"+recordFile, `{"id":"old","kind":"unit","target":"`+insideTarget+`","name":"autorun.sh"}`)
	b.WriteFile(t, dir+"/"+markFile, "")
	b.Run(t, "systemd-run", "--unit="+unitName("old"), "-p", "RemainAfterExit=yes", "sh", "-c", "while [ ! -e /shared/go ]; do sleep 0.05; done; exit 4")
	b.systemctl("start", "usbagent")
	b.waitFor("agent: adopted old")
	writeFile(t, filepath.Join(b.Shared, "go"), "")
	if end := b.end(); end != "ended with status 4 -" {
		t.Error(end)
	}
}

// The stick goes while systemd starts the unit: here, it is never there.
func (b *box) testGone(t *testing.T) {
	b.Run(t, "umount", insideTarget)
	b.start("")
	waitUntil(t, "refusal", func() bool { return strings.Contains(strings.Join(b.log(), "\n"), ErrNotStarted.Error()) })
	b.insert()
	waitUntil(t, "clean run directory", func() bool {
		left, _ := os.ReadDir(b.Path(insideRunDir + "/" + scriptDir)) // beside the unit that waits for the next
		return !slices.ContainsFunc(left, os.DirEntry.IsDir)
	})
	os.Truncate(filepath.Join(b.Shared, "agent.log"), 0)
}

// The agent is told to stop when a script is to start, and no unit waits: the
// script starts when the agent has gone, and the next one hears of its end.
func (b *box) testStartWhileStopping(t *testing.T) {
	b.with(t, "TEST_STOP_FIRST", "1")
	b.start("echo all the same; exit 6")
	b.waitFor("agent: adopted " + b.id)
	if end := b.end(); end != "ended with status 6 -" || b.journal() != "all the same" {
		t.Errorf("%s, journal: %s", end, b.journal())
	}
}

// A script that ends with a reboot: its next lines run until it is stopped,
// the shutdown does not wait for anything, and the agent sees the end.
func (b *box) testReboot(t *testing.T) {
	b.start("trap 'echo told >>/shared/script.log; exit 0' TERM\nsystemctl reboot; echo next >>/shared/script.log\nwhile :; do sleep 0.05; done")
	begin := time.Now()
	select {
	case <-b.Done:
	case <-time.After(time.Minute): // systemd itself would wait for 90 s
		t.Fatalf("no shutdown within a minute; agent: %q", b.log())
	}
	text, _ := os.ReadFile(filepath.Join(b.Shared, "script.log"))
	if !strings.HasSuffix(string(text), "told\n") {
		t.Errorf("script: %q", text)
	}
	if !slices.Contains(b.log(), "agent: ended with status 0 -") {
		t.Errorf("the agent did not see the end: %q\n%s", b.log(), b.Journal(t))
	}
	t.Logf("shutdown after %v", time.Since(begin))
}
