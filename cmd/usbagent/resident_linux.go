// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// dropCode gives back the pages of the program's code that its start needed, most of
// which what follows does not: a board's memory is to hold a large script and little
// else. What is executed again comes from the program's file again (madvise(2),
// MADV_DONTNEED), which is in the kernel's cache.
func dropCode() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) { // address, permissions, offset, device, inode, path (proc_pid_maps(5))
		f := strings.Fields(line)
		var from, to uintptr
		if len(f) < 6 || f[1] != "r-xp" || f[4] == "0" {
			continue
		}
		if _, err := fmt.Sscanf(f[0], "%x-%x", &from, &to); err == nil {
			unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED) // it costs memory where it fails
		}
	}
}
