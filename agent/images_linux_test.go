// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"usbagent/installer"
)

// TestShortWaitsAreNotShown: status.json is not written for what is over at once.
func TestShortWaitsAreNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s := idle(t)
		shown := func() (string, *Progress) {
			synctest.Wait()
			a.mu.Lock()
			defer a.mu.Unlock()
			return s.entry.Waiting, a.progress
		}
		over := a.waiting(s, "for a test")
		time.Sleep(installer.ProgressInterval - time.Nanosecond)
		over()
		time.Sleep(installer.ProgressInterval)
		if waiting, _ := shown(); waiting != "" {
			t.Errorf("shown after it was over: %q", waiting)
		}
		over = a.waiting(s, "for a test")
		time.Sleep(installer.ProgressInterval)
		if waiting, _ := shown(); waiting != "for a test" {
			t.Errorf("a long wait is shown as %q", waiting)
		}
		over()
		if waiting, _ := shown(); waiting != "" {
			t.Errorf("shown after it was over: %q", waiting)
		}

		copied := a.stageRequest(s, &image{name: "x.image"}).Progress
		copied(1, 4)
		time.Sleep(installer.ProgressInterval - time.Nanosecond)
		copied(2, 4)
		if _, progress := shown(); progress != nil {
			t.Errorf("shown at once: %+v", progress)
		}
		time.Sleep(time.Nanosecond)
		copied(3, 4)
		copied(4, 4)
		if _, progress := shown(); progress == nil || progress.Percent != 75 {
			t.Errorf("a copy of ProgressInterval is shown as %+v", progress)
		}
	})
}
