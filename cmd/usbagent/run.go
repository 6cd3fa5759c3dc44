// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "errors"

// RunCmd is "usbagent run".
type RunCmd struct {
	Config      string `placeholder:"FILE" default:"${config}" help:"Configuration (default ${config}; missing: the defaults)."`
	CheckConfig bool   `help:"Only check the configuration, strictly: an unknown key or a bad value is an error."`
	RunDir      string `hidden:"" default:"/run/usbagent" help:"Where the lock, mounts.json and scripts are (benches)."`
	Root        string `hidden:"" help:"Where sys and proc with the LED and the board model are (benches)."`
}

// Run is the daemon.
func (c *RunCmd) Run() error {
	if c.CheckConfig {
		return checkConfig(c.Config)
	}
	return errors.New("not built in yet")
}
