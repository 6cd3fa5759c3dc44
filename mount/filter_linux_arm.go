// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import "golang.org/x/sys/unix"

const archToken = unix.AUDIT_ARCH_ARM

// ARM's private calls, __ARM_NR_cacheflush and __ARM_NR_set_tls (asm/unistd.h).
const (
	armCacheFlush = 0x0f0002
	armSetTLS     = 0x0f0005
)

var archCalls = []uint32{
	unix.SYS_OPEN, unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_STAT64, unix.SYS_LSTAT64, unix.SYS_FSTAT64, unix.SYS_FSTATAT64, unix.SYS_ACCESS, unix.SYS_READLINK,
	unix.SYS_MMAP2, unix.SYS_FCNTL, unix.SYS_FCNTL64, unix.SYS__LLSEEK, unix.SYS_POLL, unix.SYS_UGETRLIMIT, unix.SYS_SIGRETURN,
	unix.SYS_GETUID32, unix.SYS_GETEUID32, unix.SYS_GETGID32, unix.SYS_GETEGID32, unix.SYS_SETRESUID32, unix.SYS_SETRESGID32,
	unix.SYS_CLOCK_GETTIME64, unix.SYS_CLOCK_NANOSLEEP_TIME64, unix.SYS_FUTEX_TIME64, unix.SYS_PPOLL_TIME64,
	armCacheFlush, armSetTLS,
}

// fakedCalls succeed and do nothing.
var fakedCalls = []uint32{unix.SYS_SETGROUPS, unix.SYS_SETGROUPS32}
