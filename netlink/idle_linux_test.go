// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// idleVariable has the test binary be a process that only waits for events.
const idleVariable = "USBAGENT_TEST_IDLE"

func TestMain(m *testing.M) {
	if os.Getenv(idleVariable) == "" {
		os.Exit(m.Run())
	}
	s, err := Listen(Options{})
	fmt.Println("listening", err)
	for err == nil {
		_, err = s.Next(context.Background())
	}
}

// TestNoWakeupWithoutEvent: the goroutine runs only when there is something to
// read, whatever else goes on.
func TestNoWakeupWithoutEvent(t *testing.T) {
	s := listen(t, Options{})
	time.Sleep(2 * time.Second)
	if c := s.Counters(); c.Wakeups > c.Events+c.Overruns+1 { // one may just be reading
		t.Errorf("more wakeups than events: %+v", c)
	}
}

// TestIdleWakesNobody counts how often the threads of a waiting process gave
// up the processor of their own accord: once for each time one was woken.
func TestIdleWakesNobody(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), idleVariable+"=1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "listening <nil>\n" {
		t.Fatalf("%q %v", line, err)
	}
	time.Sleep(time.Second) // the runtime settles
	s := listen(t, Options{})
	const window, tries = 2 * time.Second, 4 // go-udev's own reads would wake it 10 times in a window
	var events, wakeups uint64
	for range tries {
		events, wakeups = s.Counters().Events, switches(t, c.Process.Pid)
		time.Sleep(window)
		wakeups, events = switches(t, c.Process.Pid)-wakeups, s.Counters().Events-events
		t.Logf("%d wakeups in %v with %d events", wakeups, window, events)
		if events == 0 && wakeups <= 2 {
			return
		}
	}
	const each = 100 // the runtime's own watch over a process that was busy: an event wakes it some 20 times
	if wakeups > 2+each*events {
		t.Errorf("%d wakeups with %d events", wakeups, events)
	}
}

// switches sums up the voluntary context switches of a process.
func switches(t *testing.T, pid int) (sum uint64) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, _ := os.ReadFile(file)
		for line := range strings.Lines(string(b)) {
			var n uint64
			if _, err := fmt.Sscanf(line, "voluntary_ctxt_switches: %d", &n); err == nil {
				sum += n
			}
		}
	}
	return sum
}
