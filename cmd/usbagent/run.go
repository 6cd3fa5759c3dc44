// SPDX-License-Identifier: GPL-3.0-or-later

package main

// RunCmd is "usbagent run".
type RunCmd struct {
	Config      string `placeholder:"FILE" default:"${config}" help:"Configuration (default ${config}; missing: the defaults)."`
	CheckConfig bool   `help:"Only check the configuration, strictly: an unknown key or a bad value is an error."`
	benchFlags
}

// benchFlags let a bench or a test stand in for parts of a board.
type benchFlags struct {
	RunDir        string   `hidden:"" default:"/run/usbagent" help:"Where the lock, mounts.json and scripts are (benches)."`
	Root          string   `hidden:"" help:"Where sys and proc with the LED and the board model are (benches)."`
	RAUCConf      string   `hidden:"" name:"rauc-conf" help:"RAUC's system.conf (benches)."`
	LoopFiles     string   `hidden:"" help:"Loop devices count only where their backing file begins like this (benches)."`
	BootID        string   `hidden:"" help:"Another boot than the machine's, at which the sticks were in (benches)."`
	RebootCommand []string `hidden:"" sep:"none" help:"What is run instead of a reboot (benches)."`
}

// Run is the daemon.
func (c *RunCmd) Run() error {
	if c.CheckConfig {
		return checkConfig(c.Config)
	}
	return runDaemon(c.Config, c.benchFlags)
}
