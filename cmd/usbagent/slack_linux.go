// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is how late the kernel may wake a thread of a process that stays
// (prctl(2), PR_SET_TIMERSLACK; 50 µs unless somebody asks). After each wait Go's
// runtime has a thread look after the others every 20 µs for some milliseconds,
// which takes a sixth of a small board's processor just then; no timer of ours
// needs more than this. TimerSlackNSec= in the unit would do it, but systemd 252
// does not get the number to a 32-bit kernel.
const timerSlack = time.Millisecond

// coarseTimers sets the timer slack. That counts for threads to come, and the
// runtime has some already: so the program is executed anew, once, which keeps
// the value. Where it cannot be, all goes on with the finer timers.
func coarseTimers() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || time.Duration(slack) >= timerSlack {
		return
	}
	program, err := os.Executable()
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) != nil {
		return
	}
	_ = syscall.Exec(program, os.Args, os.Environ())
}
