// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"usbagent/agent"
	"usbagent/ledger"
)

// ask runs "usbagent status" on the bench's board.
func (b *bench) ask(args ...string) (status int, out string) {
	b.t.Helper()
	program, err := usbagent()
	b.must(err)
	cmd := command(program, append([]string{"status", "--path", filepath.Join(b.dir, "run/status.json")}, args...)...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		b.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// TestStatusOfAnAgentThatIsGone: what a killed agent left behind does not pass
// for a running one, and the history is there all the same.
func TestStatusOfAnAgentThatIsGone(t *testing.T) {
	b := newBench(t)
	if status, out := b.ask(); status != 1 || !strings.Contains(out, "not running") {
		t.Errorf("before the first start: %d, %s", status, out)
	}
	b.start()
	_, device := b.run("SEEN", files{"readme": ""})
	b.pull(device)
	if status, out := b.ask(); status != 0 || !strings.Contains(out, "idle") || !b.status().Alive() {
		t.Errorf("running: %d, %s", status, out)
	}
	b.stop(syscall.SIGTERM)
	if status, out := b.ask(); status != 1 || !strings.Contains(out, "it was stopped") || !strings.Contains(out, "SEEN") {
		t.Errorf("stopped: %d, %s", status, out)
	}
	b.start()
	b.stop(syscall.SIGKILL)
	if st := b.status(); !st.Running || st.Alive() {
		t.Errorf("killed: running %v, alive %v", st.Running, st.Alive())
	}
	if status, out := b.ask(); status != 1 || !strings.Contains(out, "has died") || !strings.Contains(out, "SEEN") {
		t.Errorf("killed: %d, %s", status, out)
	}
	st := b.status()
	st.PID, st.Born = 1, st.Born+1
	if st.Alive() {
		t.Error("another process with that number passes for the agent")
	}
}

// TestHistoryOfFiftySticks: the last 50 are in status.json of an agent that
// was started anew, the newest last.
func TestHistoryOfFiftySticks(t *testing.T) {
	b := newBench(t)
	l, err := ledger.Open(filepath.Join(b.dir, "state"), "earlier")
	b.must(err)
	for i := range 60 {
		b.must(l.PutStick(ledger.Stick{DiskSeq: uint64(i + 1), Device: "sda", Label: fmt.Sprint("S", i), Started: time.Unix(int64(i), 0), Finished: time.Unix(int64(i), 0), Result: agent.Done}))
	}
	b.start()
	b.wait("the history", func() bool { return len(b.status().Sticks) == ledger.MaxSticks })
	if list := b.status().Sticks; list[0].Label != "S10" || list[49].Label != "S59" || list[49].Present {
		t.Errorf("first %+v, last %+v", list[0], list[49])
	}
	if _, out := b.ask("--last", "0"); strings.Count(out, "\nsda ") != 50 {
		t.Errorf("%s", out)
	}
}
