// SPDX-License-Identifier: GPL-3.0-or-later

package staging

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// FreeSpace returns the bytes that root's quota-free user could still write
// to the file system of dir, without what is reserved for root.
func FreeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	blocks, size := st.Bavail, uint64(st.Bsize)
	if size != 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64, nil
	}
	return int64(blocks * size), nil
}
