// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Command spend is on the board when verification is measured. "spend make KIND FILE"
// writes a large script (package largescript); "spend run PROGRAM [ARGUMENT…]" prints
// the nanoseconds until the program has ended, the kilobytes that it had resident at
// most (getrusage(2)), and its exit status.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"usbagent/test/board/largescript"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "spend:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "make":
		return write(args[1], args[2])
	case len(args) >= 2 && args[0] == "run":
		return spend(args[1:])
	}
	return errors.New("usage: spend make KIND FILE, or spend run PROGRAM [ARGUMENT…]")
}

func write(kind, path string) error {
	k, err := largescript.Find(kind)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, k.Script())
	return errors.Join(err, f.Close())
}

func spend(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	if cmd.ProcessState == nil {
		return err
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	fmt.Println(took.Nanoseconds(), usage.Maxrss, cmd.ProcessState.ExitCode())
	return nil
}
