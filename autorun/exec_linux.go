// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// shell runs the script.
const shell = "/bin/sh"

// loginEnvironment is the environment of a root login without a terminal.
var loginEnvironment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root",
	"USER=root",
	"LOGNAME=root",
	"SHELL=/bin/sh",
}

// SupervisorMain is the hidden subcommand [SupervisorCommand] of usbagent;
// args are the words after it. It returns the exit status of the process.
// Programs that use a [Runner], test binaries too, must call it from their
// main, since the runner executes the running program again:
//
//	if len(os.Args) > 1 && os.Args[1] == autorun.SupervisorCommand {
//		os.Exit(autorun.SupervisorMain(os.Args[2:]))
//	}
func SupervisorMain(args []string) int {
	if len(args) != 2 || !filepath.IsAbs(args[1]) {
		fmt.Fprintln(os.Stderr, "usbagent", SupervisorCommand+": internal; not for use by hand")
		return 2
	}
	switch dir := args[1]; args[0] {
	case "exec":
		err := becomeShell(dir)
		writeJSON(filepath.Join(dir, exitFile), ending{NotStarted: err.Error()})
		return 2
	case "session":
		return supervise(dir)
	}
	return 2
}

// becomeShell replaces this process by the shell that runs the script of the
// run in dir. It returns only when it cannot, and then nothing of the script
// was executed.
//
// It exists because neither systemd's WorkingDirectory= nor exec.Cmd.Dir can
// promise that the path still leads to the stick that was bound: one stick may
// be pulled and another with the same label mounted in between. Here the
// directory is held while its script is looked at, and becomes the working
// directory.
func becomeShell(dir string) error {
	runtime.LockOSThread() // a priority is a thread's, and the one that executes stays
	r, err := readRecord(dir)
	if err != nil {
		return err
	}
	root, err := openDir(r.Target)
	if err != nil {
		return fmt.Errorf("the stick is gone: %w", err)
	}
	name, err := boundName(root, r.Name, filepath.Join(dir, copyFile))
	if err != nil {
		return fmt.Errorf("the stick is gone or changed: %w", err)
	}
	for _, b := range r.Payload {
		if err := isFile(root, b.Path, b.identity); err != nil {
			return fmt.Errorf("the stick is gone or changed: %w", err)
		}
	}
	if err := unix.Fchdir(int(root.Fd())); err != nil {
		return fmt.Errorf("enter %s: %w", r.Target, err)
	}
	if err := shedAgent(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, markFile), nil, 0o600); err != nil {
		return err
	}
	return fmt.Errorf("execute %s: %w", shell, syscall.Exec(shell, []string{shell, name}, environment()))
}

// boundName returns the name by which the verified copy is reached in root:
// ScriptName, unless the file system tells its case from name's.
func boundName(root *os.File, name, path string) (string, error) {
	if isCopy(root, ScriptName, path) == nil {
		return ScriptName, nil
	}
	if err := isCopy(root, name, path); err != nil {
		return "", err
	}
	return name, nil
}

// shedAgent removes from this process what a root login does not have and the
// agent or its unit may have.
func shedAgent() error {
	unix.Umask(0o022)
	// The system call's own number is 20 less the nice value (getpriority(2)).
	if p, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && p > 20 {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 0); err != nil {
			return fmt.Errorf("take the usual priority: %w", err)
		}
	}
	// Not there on kernels without /proc; the script then keeps the agent's value.
	os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0)
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close descriptors: %w", err)
	}
	return nil
}

// environment is the login's, and what systemd itself says about the unit and
// its journal stream to every service (systemd.exec(5)).
func environment() []string {
	env := append([]string(nil), loginEnvironment...)
	for _, name := range []string{"LANG", "INVOCATION_ID", "JOURNAL_STREAM"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
