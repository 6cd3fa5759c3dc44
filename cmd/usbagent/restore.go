// SPDX-License-Identifier: GPL-3.0-or-later

package main

// KeyringRestoreCmd is "usbagent keyring restore".
type KeyringRestoreCmd struct {
	Config string `placeholder:"FILE" default:"${config}" help:"Configuration (default ${config}; missing: the defaults)."`
}

// Run brings the kept previous keyring back.
func (c *KeyringRestoreCmd) Run() error { return restoreKeyring(c.Config) }
