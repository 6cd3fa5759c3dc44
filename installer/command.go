// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Placeholder is replaced by the image's path in a command's arguments.
const Placeholder = "{image}"

// Limits of the command backend.
const (
	// CommandTimeout is how long an installation command may run.
	CommandTimeout = 2 * time.Hour
	// MaxOutputLine is where a line of its output is broken, in bytes.
	MaxOutputLine = 4096

	commandWaitDelay = 5 * time.Second
)

// commandPath is PATH of the command, as in a root login.
const commandPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Command is the backend that runs a program of the integrator's. It knows no
// slots: an exit status of 0 is all the confirmation there is.
type Command struct {
	None // for what a command cannot tell

	Argv    []string          // program and arguments; never seen by a shell
	Timeout time.Duration     // CommandTimeout where zero
	Output  func(line string) // told each line of its output; may be nil
}

// Name returns "command".
func (Command) Name() string { return "command" }

// Install runs the command, with an environment of PATH alone, stdin from
// /dev/null and a process group of its own, which is killed as a whole after
// Timeout or when ctx ends.
func (c Command) Install(ctx context.Context, path string, o InstallOptions, _ Progress) error {
	if o.ManifestHash != "" {
		return fmt.Errorf("install %s: %w", path, ErrCannotBind)
	}
	argv := c.argv(path)
	if len(argv) == 0 || argv[0] == "" {
		return fmt.Errorf("install %s: installer.command is empty: %w", path, ErrUnavailable)
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = CommandTimeout
	}
	late := fmt.Errorf("%w: %s not done after %v", ErrStalled, argv[0], timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, late)
	defer cancel()
	if err := c.run(ctx, argv); err != nil {
		return fmt.Errorf("install %s: %w", path, err)
	}
	return nil
}

// argv puts the path in.
func (c Command) argv(path string) []string {
	argv := make([]string, len(c.Argv))
	for i, arg := range c.Argv {
		argv[i] = strings.ReplaceAll(arg, Placeholder, path)
	}
	return argv
}

func (c Command) run(ctx context.Context, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{commandPath}
	cmd.WaitDelay = commandWaitDelay // a grandchild may hold the pipe open
	ownGroup(cmd)
	out := &lines{tell: c.Output}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	out.flush()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil // the program itself ended well
	case err != nil:
		return fmt.Errorf("%s: %w: %s", argv[0], err, out.last)
	}
	return nil
}

// lines splits what is written into lines of at most MaxOutputLine bytes.
type lines struct {
	tell func(string)
	part []byte
	last string // last line with something in it
}

func (l *lines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), MaxOutputLine-len(l.part))
		end := bytes.IndexByte(rest[:n], '\n')
		if end >= 0 {
			n = end + 1
		}
		l.part = append(l.part, rest[:n]...)
		rest = rest[n:]
		if end >= 0 || len(l.part) == MaxOutputLine {
			l.flush()
		}
	}
	return len(p), nil
}

// flush tells the line that has been collected.
func (l *lines) flush() {
	line := strings.ToValidUTF8(strings.TrimRight(string(l.part), "\r\n"), "\uFFFD")
	l.part = l.part[:0]
	if line == "" {
		return
	}
	l.last = line
	if l.tell != nil {
		l.tell(line)
	}
}
