// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"usbagent/agent"
	"usbagent/test/liar"
)

// plugSlow plugs a stick in whose device answers only after wait has returned.
func (b *bench) plugSlow(label string, f files, wait func(offset int64)) string {
	b.t.Helper()
	b.mkfs = []string{"-b", fmt.Sprint(liar.Block)}
	honest := []byte(read(b.t, b.stick(label, f)))
	b.plugs++
	disk := liar.New(b.t, fmt.Sprintf("%s/slow-%d", b.dir, b.plugs), honest, func(at int64, _ int, honest []byte) []byte {
		wait(at)
		return honest
	})
	return b.attach(disk.Path)
}

// TestDevicesThatNeverAnswer: three devices that hang, one while it is read and
// two while they are mounted, and a good stick after them. It is served at once,
// and what each of the others did not answer is told after its named time.
func TestDevicesThatNeverAnswer(t *testing.T) {
	t.Parallel() // it mostly waits
	b := newBench(t)
	b.start()
	released := make(chan struct{})
	hang := func() { <-released }
	script := b.scriptFiles("echo hung >>"+b.dir+"/out", strings.Repeat("# long\n", 10_000))
	var at int64 = -1
	b.mkfs = []string{"-b", fmt.Sprint(liar.Block)}
	if at = int64(bytes.Index([]byte(read(t, b.stick("READ", script))), []byte(script["autorun.sh"]))); at < 0 {
		t.Fatal("the script is not in the image")
	}
	plugged := time.Now()
	reading := b.plugSlow("READ", script, func(offset int64) {
		if offset >= at && offset < at+int64(len(script["autorun.sh"])) {
			hang()
		}
	})
	b.wait("the stick to be mounted", func() bool { return b.mounted(reading) })
	b.wait("its mount to be told", func() bool {
		sticks := b.status().Sticks
		return len(sticks) > 0 && len(sticks[0].Steps) > 0
	})
	if took := time.Since(plugged); took > agent.LookAhead+10*time.Second { // however long its files take
		t.Errorf("that the stick is mounted was told after %v", took)
	}
	// The superblock, and what the kernel reads to find partitions, is answered.
	mounting := b.plugSlow("MOUNT", files{"readme": ""}, func(offset int64) {
		if offset >= liar.Block {
			hang()
		}
	})
	slow := b.plugSlow("MINUTE", files{"readme": ""}, func(offset int64) {
		if offset >= liar.Block {
			select {
			case <-released:
			case <-time.After(time.Minute):
			}
		}
	})
	t.Cleanup(func() { close(released) })

	begun := time.Now()
	good := b.plug(b.stick("GOOD", b.scriptFiles("echo good >>"+b.dir+"/out")))
	b.expect(b.done(good), "autorun", "done", "exit status 0")
	if took := time.Since(begun); took > agent.ArrivalGrace+15*time.Second {
		t.Errorf("the good stick had to wait for %v", took)
	}
	if st := b.status(); st.State != "processing" || b.led() != "on" {
		t.Errorf("while devices hang the state is %s and the LED %s", st.State, b.led())
	}
	b.pull(good)

	s := b.done(reading)
	b.expect(s, "autorun", "refused", fmt.Sprintf("the device does not answer (nothing came for %v)", agent.ReadStall))
	if s.Code != 4 {
		t.Errorf("hanging while read: code %d, want 4", s.Code)
	}
	for _, device := range []string{mounting, slow} {
		s := b.done(device)
		b.expect(s, "mount", "failed", "the device does not answer")
		b.expect(s, "mount", "failed", agent.MountTimeout.String())
		if s.Code != 2 {
			t.Errorf("hanging while mounted: code %d, want 2", s.Code)
		}
	}
	_, good = b.run("AFTER", b.scriptFiles("echo after >>"+b.dir+"/out"))
	b.pull(good)
	if b.out() != "good\nafter\n" {
		t.Errorf("the scripts wrote %q", b.out())
	}
}
