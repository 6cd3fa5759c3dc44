// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import "golang.org/x/sys/unix"

const archToken = unix.AUDIT_ARCH_X86_64

var archCalls = []uint32{
	unix.SYS_OPEN, unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_NEWFSTATAT, unix.SYS_ACCESS, unix.SYS_READLINK,
	unix.SYS_MMAP, unix.SYS_FCNTL, unix.SYS_POLL, unix.SYS_TIME, unix.SYS_GETRLIMIT, unix.SYS_ARCH_PRCTL,
}

// fakedCalls succeed and do nothing.
var fakedCalls = []uint32{unix.SYS_SETGROUPS}
