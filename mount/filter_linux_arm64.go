// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import "golang.org/x/sys/unix"

const archToken = unix.AUDIT_ARCH_AARCH64

var archCalls = []uint32{unix.SYS_FSTATAT, unix.SYS_MMAP, unix.SYS_FCNTL}

// fakedCalls succeed and do nothing.
var fakedCalls = []uint32{unix.SYS_SETGROUPS}
