// SPDX-License-Identifier: GPL-3.0-or-later

package main

// ProcessCmd is "usbagent process".
type ProcessCmd struct {
	Config string `placeholder:"FILE" default:"${config}" help:"Configuration (default ${config}; missing: the defaults)."`
	Dir    string `arg:"" name:"dir" help:"The mounted stick."`
	benchFlags
}

// Run does the whole pipeline once.
func (c *ProcessCmd) Run() error { return processDirectory(c.Config, c.Dir, c.benchFlags) }
