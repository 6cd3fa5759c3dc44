// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data (linux/seccomp.h).
const (
	dataNr   = 0
	dataArch = 4
	dataArg0 = 16
)

// commonCalls are allowed on every architecture: what ntfs-3g and a C library
// do to read a device and to serve FUSE, and what Go does between installing
// the filter and exec. The rest answers ENOSYS, on which C libraries fall
// back to older calls.
var commonCalls = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64,
	unix.SYS_OPENAT, unix.SYS_CLOSE, unix.SYS_LSEEK, unix.SYS_FSTAT, unix.SYS_STATX, unix.SYS_FACCESSAT, unix.SYS_READLINKAT, unix.SYS_GETCWD,
	unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MPROTECT, unix.SYS_BRK, unix.SYS_MADVISE,
	unix.SYS_IOCTL, unix.SYS_PPOLL, unix.SYS_UMASK, unix.SYS_UNAME,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
	unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY,
	unix.SYS_GETRANDOM, unix.SYS_SET_TID_ADDRESS, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
	unix.SYS_SENDMSG, // the listener, once; there is no other socket
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// newFilter is the program: architecture, then the number, one by one.
func newFilter() ([]unix.SockFilter, error) {
	if archToken == 0 {
		return nil, fmt.Errorf("system call filter: not known for %s", runtime.GOARCH)
	}
	allowed := append(append([]uint32(nil), commonCalls...), archCalls...)
	const retAllow, retTrap, retFake, retDeny, retKill = 0, 1, 2, 3, 4
	var code []unix.SockFilter
	load := func(off uint32) {
		code = append(code, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off})
	}
	// jump to one of the returns; the distance is set at the end, when it is known
	type fix struct{ at, ret int }
	var fixes []fix
	jump := func(op uint16, k uint32, ret int) {
		fixes = append(fixes, fix{len(code), ret})
		code = append(code, unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k})
	}
	load(dataArch)
	code = append(code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: archToken, Jt: 1})
	jump(unix.BPF_JA, 0, retKill)
	load(dataNr)
	for _, nr := range []uint32{unix.SYS_EXECVE, unix.SYS_MOUNT} {
		jump(unix.BPF_JEQ, nr, retTrap)
	}
	for _, nr := range fakedCalls {
		jump(unix.BPF_JEQ, nr, retFake)
	}
	for _, nr := range allowed {
		jump(unix.BPF_JEQ, nr, retAllow)
	}
	// prlimit64 of the process itself alone
	code = append(code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_PRLIMIT64, Jt: 1})
	jump(unix.BPF_JA, 0, retDeny)
	load(dataArg0) // a pid_t: the lower half, on the little-endian machines there are
	jump(unix.BPF_JEQ, 0, retAllow)
	jump(unix.BPF_JA, 0, retDeny)
	end := len(code)
	for _, action := range []uint32{
		unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_USER_NOTIF, unix.SECCOMP_RET_ERRNO,
		unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS), unix.SECCOMP_RET_KILL_PROCESS,
	} {
		code = append(code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
	}
	for _, f := range fixes {
		distance := end + f.ret - f.at - 1
		if code[f.at].Code&0xf0 == unix.BPF_JA {
			code[f.at].K = uint32(distance)
		} else if distance > 255 {
			return nil, errors.New("system call filter: too long")
		} else {
			code[f.at].Jt = uint8(distance)
		}
	}
	return code, nil
}

// installFilter installs the filter for this thread and returns its listener.
func installFilter(code []unix.SockFilter) (int, error) {
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(code)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
