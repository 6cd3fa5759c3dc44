// SPDX-License-Identifier: GPL-3.0-or-later

package durable

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// FSType names the file system that path lies on, and says whether it is
// volatile: its content does not outlive a restart (tmpfs, ramfs). The magic
// numbers are those of statfs(2).
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
		return "overlay", false, nil
	}
	return fmt.Sprintf("0x%x", uint32(st.Type)), false, nil
}
