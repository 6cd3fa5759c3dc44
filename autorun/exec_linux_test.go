// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

// TestUsualPriority: from a thread with a better priority, a program has the usual
// one from its first instruction on, whether processes may be traced or not, and
// what cannot be executed is told.
func TestUsualPriority(t *testing.T) {
	need.Root(t)
	for name, forbid := range map[string]func(*testing.T){"traced": func(*testing.T) {}, "not traced": forbidTracing} {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread() // ends with the test, and its priority and filter with it
			if err := unix.Setpriority(unix.PRIO_PROCESS, 0, startPriority); err != nil {
				t.Fatal(err)
			}
			forbid(t)
			path := filepath.Join(t.TempDir(), "out")
			out, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			cmd, err := usually(&exec.Cmd{Path: "/usr/bin/nice", Args: []string{"nice"}, Stdout: out, SysProcAttr: &syscall.SysProcAttr{Setsid: true}})
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if text, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(text)) != "0" {
				t.Errorf("nice says %q, %v, want 0", text, err)
			}
			own, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
			if want := 20 - startPriority; name == "traced" && (err != nil || own != want) {
				t.Errorf("the caller's priority is %d, %v, want %d", own, err, want)
			}
			if cmd, err := usually(&exec.Cmd{Path: "/nonexistent", SysProcAttr: &syscall.SysProcAttr{}}); !os.IsNotExist(err) {
				t.Errorf("%v, %v, want that it is not there", cmd, err)
			}
		})
	}
}

// forbidTracing has this thread's children refused ptrace(2), as Yama may do.
func forbidTracing(t *testing.T) {
	t.Helper()
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_PTRACE, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		t.Fatal(err)
	}
}
