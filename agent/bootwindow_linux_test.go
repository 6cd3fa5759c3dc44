// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/agent"
	"usbagent/test/need"
)

// booted has the daemon run where the kernel started that long ago: in a time
// namespace (time_namespaces(7)), which a process holds open for it.
func (b *bench) booted(since time.Duration) {
	b.t.Helper()
	var now unix.Timespec
	b.must(unix.ClockGettime(unix.CLOCK_BOOTTIME, &now))
	offset := (since - time.Duration(now.Nano())) / time.Second
	holder := exec.Command("unshare", "--time", "--boottime", fmt.Sprint(int64(offset)), "--fork", "--kill-child", "sleep", "300")
	b.must(holder.Start())
	b.t.Cleanup(func() { holder.Process.Kill(); holder.Wait() })
	namespace := fmt.Sprintf("/proc/%d/ns/time_for_children", holder.Process.Pid)
	own, err := exec.Command("readlink", "/proc/self/ns/time").Output()
	b.must(err)
	b.wait("the time namespace", func() bool {
		made, err := exec.Command("readlink", namespace).Output()
		return err == nil && string(made) != string(own)
	})
	b.under = []string{"nsenter", "--time=" + namespace}
}

// TestBootWindow: what is first seen within BootWindow after the start of the
// kernel counts as having been there at boot, what comes later does not.
func TestBootWindow(t *testing.T) {
	need.Tool(t, "unshare")
	need.Tool(t, "nsenter")
	for _, c := range []struct {
		since  time.Duration
		atBoot bool
	}{{agent.BootWindow - 100*time.Second, true}, {agent.BootWindow + time.Second, false}} {
		b := newBench(t)
		b.booted(c.since)
		b.start()
		_, device := b.run("BOOT", files{"readme": ""})
		if want := fmt.Sprintf("at_boot=%v\n", c.atBoot); !strings.Contains(b.logText(), want) {
			t.Errorf("%v after the kernel's start: no %s in\n%s", c.since, want, b.logText())
		}
		b.pull(device)
	}
}
