// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// lastSignal is the highest signal number of Linux (signal(7)).
const lastSignal = 64

// heedSignals gives every signal that this process ignores its default action
// back. Ignored signals stay ignored across execve(2), and a script must find
// what a root login has; os/signal does not know the two below SIGRTMIN that
// a C library keeps for itself.
func heedSignals() {
	const setSize = lastSignal / 8 // of the kernel's sigset_t, in bytes
	for sig := uintptr(1); sig <= lastSignal; sig++ {
		// struct sigaction of the kernel: its first word is the handler, 1 is
		// SIG_IGN, and all zero is SIG_DFL.
		var now, fresh [8]uintptr
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&now)), setSize, 0, 0)
		if errno == 0 && now[0] == 1 {
			unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&fresh)), 0, setSize, 0, 0)
		}
	}
}
