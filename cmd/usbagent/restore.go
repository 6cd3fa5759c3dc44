// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "errors"

// KeyringRestoreCmd is "usbagent keyring restore".
type KeyringRestoreCmd struct {
	Config string `placeholder:"FILE" default:"${config}" help:"Configuration (default ${config}; missing: the defaults)."`
}

// Run restores the previous keyring.
func (c *KeyringRestoreCmd) Run() error { return errors.New("not built in yet") }
