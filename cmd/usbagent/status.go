// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "errors"

// StatusCmd is "usbagent status".
type StatusCmd struct {
	Path string `placeholder:"FILE" default:"${status}" help:"Where the agent writes its state (default ${status})."`
	JSON bool   `name:"json" help:"For programs: the agent's own JSON."`
}

// Run reads and shows status.json.
func (c *StatusCmd) Run() error { return errors.New("not built in yet") }
