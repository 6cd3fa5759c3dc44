// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "errors"

// ProcessCmd is "usbagent process".
type ProcessCmd struct {
	Config string `placeholder:"FILE" default:"${config}" help:"Configuration (default ${config}; missing: the defaults)."`
	Dir    string `arg:"" name:"dir" help:"The mounted stick."`
}

// Run does the whole pipeline once.
func (c *ProcessCmd) Run() error { return errors.New("not built in yet") }
