// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	switch args[0] {
	case "unit": // the socket of the agent
		dir, control, agent := awaitOrder(args[1])
		if dir == "" {
			return 0
		}
		s := supervisor{dir: dir, unit: true}
		if agent != nil {
			s.tell.attach(agent)
		}
		return s.supervise(control)
	case "session": // the directory of the run
		s := supervisor{dir: args[1]}
		return s.supervise(os.NewFile(listenerFD, "agent socket"))
	}
	return 2
}

// shellCommand returns the command that runs the script of the run in dir, and
// the directory that it begins in, which the caller closes once it has begun.
//
// Neither systemd's WorkingDirectory= nor a path in exec.Cmd.Dir could promise
// that the path still leads to the stick that was bound: one stick may be pulled
// and another with the same label mounted in between. Here the directory is held
// while its script is looked at, and becomes the working directory.
func shellCommand(dir string, r record) (*exec.Cmd, *os.File, error) {
	root, err := openDir(r.Target)
	if err != nil {
		return nil, nil, fmt.Errorf("the stick is gone: %w", err)
	}
	name, err := boundName(root, r.Name, filepath.Join(dir, copyFile))
	for _, b := range r.Payload {
		if err == nil {
			err = isFile(root, b.Path, b.identity)
		}
	}
	if err != nil {
		root.Close()
		return nil, nil, fmt.Errorf("the stick is gone or changed: %w", err)
	}
	return &exec.Cmd{
		Path: shell, Args: []string{shell, name}, Env: environment(), Dir: magicPath(int(root.Fd())),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}, root, nil
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

// oomScore is what the kernel's OOM killer adds for a process (proc(5)).
const oomScore = "/proc/self/oom_score_adj"

// usualSlack is the timer slack of a process for which nobody asked for another,
// in nanoseconds (prctl(2), PR_SET_TIMERSLACK).
const usualSlack = 50_000

// begin starts the shell without what a root login does not have and the agent
// or its unit may have: a child gets the caller's umask, priority, timer slack
// and OOM score. The latter this process takes back afterwards; priority and
// slack are those of the calling thread alone, to which the caller has locked
// itself. It returns the command that runs: cmd, or one like it.
func begin(cmd *exec.Cmd) (*exec.Cmd, error) {
	unix.Umask(0o022)
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, usualSlack, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("take the usual timer slack: %w", err)
	}
	// Not there on kernels without /proc; the script then keeps the agent's value.
	if score, err := os.ReadFile(oomScore); err == nil && os.WriteFile(oomScore, []byte("0"), 0) == nil {
		defer os.WriteFile(oomScore, score, 0)
	}
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("close descriptors: %w", err)
	}
	cmd, err := usually(cmd)
	if err != nil {
		return nil, fmt.Errorf("execute %s: %w", shell, err)
	}
	return cmd, nil
}

// usually starts cmd with the usual priority. Where this thread has a better one
// it is the child's up to the end of its execve(2), and no longer: on one core, a
// child of the usual priority waits there for all that the stick means to udev,
// systemd and the journal.
func usually(cmd *exec.Cmd) (*exec.Cmd, error) {
	// The system call's own number is 20 less the nice value (getpriority(2)).
	if p, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != nil || p <= 20 {
		return cmd, cmd.Start()
	}
	attributes := *cmd.SysProcAttr
	attributes.Ptrace = true
	traced := &exec.Cmd{Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir, Stdout: cmd.Stdout, Stderr: cmd.Stderr, SysProcAttr: &attributes}
	if traced.Start() == nil {
		if err := release(traced.Process.Pid); err != nil {
			traced.Process.Kill()
			traced.Wait()
			return nil, err
		}
		return traced, nil
	}
	// Not everywhere may a process be traced (Yama's ptrace_scope 3).
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, 0); err != nil {
		return nil, fmt.Errorf("take the usual priority: %w", err)
	}
	return cmd, cmd.Start()
}

// release gives the usual priority to the child that the kernel has stopped before
// its new program's first instruction (ptrace(2), PTRACE_TRACEME), and lets it go.
// A child that was killed meanwhile is left to whoever waits for it.
func release(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return fmt.Errorf("wait for its start: %w", err)
		}
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, pid, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("give it the usual priority: %w", err)
	}
	if err := unix.PtraceDetach(pid); err != nil && err != unix.ESRCH {
		return fmt.Errorf("let it go: %w", err)
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
