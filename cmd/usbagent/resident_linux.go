// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"strconv"
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
		if len(f) < 6 || f[1] != "r-xp" || f[4] == "0" {
			continue
		}
		first, end, _ := strings.Cut(f[0], "-")
		from, err1 := strconv.ParseUint(first, 16, strconv.IntSize)
		to, err2 := strconv.ParseUint(end, 16, strconv.IntSize)
		if err1 == nil && err2 == nil {
			unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(to-from), unix.MADV_DONTNEED) // it costs memory where it fails
		}
	}
}
