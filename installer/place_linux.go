// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// LocationOf returns what RAUC minds about where f lies. The type of the file
// system is the caller's to fill in, from the mount.
func LocationOf(f *os.File) (Location, error) {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Location{}, fmt.Errorf("fstat %s: %w", f.Name(), err)
	}
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return Location{}, fmt.Errorf("fstatfs %s: %w", f.Name(), err)
	}
	return Location{
		FUSE: uint32(fs.Type) == unix.FUSE_SUPER_MAGIC,
		UID:  st.Uid,
		Mode: os.FileMode(st.Mode & 0o777),
	}, nil
}
