// SPDX-License-Identifier: GPL-3.0-or-later

package durable

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// FSType names the file system that path lies on, and says whether it is
// volatile: its content does not outlive a restart (tmpfs, ramfs, an overlay
// whose changes go to one of them, an overlay mounted "volatile"). The magic
// numbers are those of statfs(2). An overlay whose upper directory cannot be
// seen from here (it was mounted in an initramfs) counts as not volatile.
func FSType(path string) (name string, volatile bool, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "", false, fmt.Errorf("statfs %s: %w", path, err)
	}
	switch uint32(st.Type) {
	case unix.TMPFS_MAGIC:
		return "tmpfs", true, nil
	case unix.RAMFS_MAGIC:
		return "ramfs", true, nil
	case unix.OVERLAYFS_SUPER_MAGIC:
		name, volatile = overlay(path)
		return name, volatile, nil
	}
	return fmt.Sprintf("0x%x", uint32(st.Type)), false, nil
}

// overlay is FSType for a path on an overlay.
func overlay(path string) (name string, volatile bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return "overlay", false
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "overlay", false
	}
	defer f.Close()
	device := fmt.Sprintf("%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)))
	for _, option := range overlayOptions(f, device) {
		if option == "volatile" {
			return "a volatile overlay", true
		}
		if upper, ok := strings.CutPrefix(option, "upperdir="); ok {
			if below, lost, err := FSType(upper); err == nil && lost {
				return "overlay over " + below, true
			}
		}
	}
	return "overlay", false
}

// overlayOptions returns the file system options of the overlay that has this
// device number ("0:42"), from the format of proc_pid_mountinfo(5).
func overlayOptions(mountinfo io.Reader, device string) []string {
	in := bufio.NewScanner(mountinfo)
	in.Buffer(nil, 1<<20) // an overlay of many layers has long lines
	for in.Scan() {
		fields := strings.Fields(in.Text())
		dash := slices.Index(fields, "-")
		if dash < 6 || len(fields) < dash+4 || fields[2] != device || fields[dash+1] != "overlay" {
			continue
		}
		return strings.Split(fields[dash+3], ",")
	}
	return nil
}
