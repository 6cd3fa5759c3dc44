// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// forgetCached lets the next read of f, which was synced, come from the medium.
// Best effort.
func forgetCached(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
