// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Alive reports whether the agent that wrote st still runs: not only by its
// own word, since one that was killed could not take that back, but by its
// process, on this boot of this machine. A Status that names no process is
// taken at its word.
func (st Status) Alive() bool {
	if !st.Running || st.PID <= 0 {
		return st.Running
	}
	return (st.BootID == "" || st.BootID == kernelBootID()) && st.Born == birth(st.PID)
}

// kernelBootID names this boot (random(4)).
func kernelBootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// birth is when a process was started, in clock ticks since the start of the
// kernel (proc(5), stat, field 22); 0 where there is none.
func birth(pid int) uint64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return 0
	}
	ticks, _ := strconv.ParseUint(fields[19], 10, 64)
	return ticks
}
