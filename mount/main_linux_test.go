// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	ownNamespace = "USBAGENT_MOUNT_TEST" // environment: the tests run in a mount namespace of their own
	crashName    = "mount-and-crash"
)

// TestMain runs the tests in a private mount namespace, so that nothing that
// a failing test leaves mounted stays on the machine.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == confinedName:
		os.Exit(ConfinedMain(os.Args[2:]))
	case len(os.Args) > 1 && os.Args[1] == crashName:
		mountAndCrash(os.Args[2], os.Args[3])
	case os.Geteuid() != 0:
		os.Exit(m.Run())
	case os.Getenv(ownNamespace) != "":
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			fmt.Fprintln(os.Stderr, "private mounts:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), ownNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	err := cmd.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		fmt.Fprintln(os.Stderr, "mount namespace:", err)
		os.Exit(1)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// mountAndCrash is another agent: it mounts a device and is killed.
func mountAndCrash(options, device string) {
	var o Options
	var d Device
	err := errors.Join(json.Unmarshal([]byte(options), &o), json.Unmarshal([]byte(device), &d))
	if err == nil {
		var m *Mounter
		if m, err = New(o); err == nil {
			_, err = m.Mount(context.Background(), d)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

// crash has another process mount d with m's options, and die of SIGKILL.
func crash(t *testing.T, m *Mounter, d Device) {
	t.Helper()
	options, err := json.Marshal(m.o)
	if err != nil {
		t.Fatal(err)
	}
	device, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("/proc/self/exe", crashName, string(options), string(device)).CombinedOutput()
	var status *exec.ExitError
	if !errors.As(err, &status) || status.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Fatalf("%v: %s", err, out)
	}
}
