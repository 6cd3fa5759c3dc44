// SPDX-License-Identifier: GPL-3.0-or-later

package main

// KeyringRestoreCmd is "usbagent keyring restore".
type KeyringRestoreCmd struct{ Config string }

func (c *KeyringRestoreCmd) command() *command {
	cmd := leaf("restore [flags]", "Bring the kept previous keyring back (root, on the board).", onBoard, c.Run)
	configFlag(cmd, &c.Config)
	return cmd
}

// Run brings the kept previous keyring back.
func (c *KeyringRestoreCmd) Run() error { return restoreKeyring(c.Config) }
