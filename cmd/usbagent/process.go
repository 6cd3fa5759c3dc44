// SPDX-License-Identifier: GPL-3.0-or-later

package main

// ProcessCmd is "usbagent process".
type ProcessCmd struct {
	Config, Dir string
	benchFlags
}

func (c *ProcessCmd) command() *command {
	cmd := leaf("process [flags] DIR", "Do once what the daemon does with a stick, on a mounted directory.", onBoard, c.Run)
	operand(cmd, &c.Dir, "DIR", "the mounted stick", 1)
	configFlag(cmd, &c.Config)
	c.add(cmd)
	return cmd
}

// Run does the whole pipeline once.
func (c *ProcessCmd) Run() error { return processDirectory(c.Config, c.Dir, c.benchFlags) }
