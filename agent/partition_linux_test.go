// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"usbagent/agent"
)

// TestPartitionsThatNeverCome: the partition table promises partitions that
// the kernel does not show; after a named time that is told.
func TestPartitionsThatNeverCome(t *testing.T) {
	b := newBench(t)
	b.start()
	image := b.disk("dos", b.stick("PART", files{"readme": ""}))
	begun := time.Now()
	out, err := exec.Command("losetup", "--find", "--show", image).Output() // no --partscan
	b.must(err)
	device := strings.TrimSpace(string(out))
	b.inserted[device] = image
	s := b.done(device)
	b.expect(s, "mount", "failed", "partition table")
	if took := time.Since(begun); s.Code != 2 || took < agent.PartitionWait || took > agent.PartitionWait+20*time.Second {
		t.Errorf("code %d after %v", s.Code, took)
	}
	b.pull(device)
}
