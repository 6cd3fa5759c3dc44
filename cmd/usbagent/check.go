// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "errors"

// CheckCmd is "usbagent check".
type CheckCmd struct {
	Keyring string `placeholder:"FILE" default:"${keyring}" help:"The keyring of the board (default ${keyring})."`
	JSON    bool   `name:"json" help:"For programs: JSON."`
	Dir     string `arg:"" name:"dir" help:"The root directory of the stick."`
}

// Run inspects the directory.
func (c *CheckCmd) Run() error { return errors.New("not built in yet") }
