// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "errors"

// KeyringCmd is "usbagent keyring".
type KeyringCmd struct {
	Show    KeyringShowCmd    `cmd:"" help:"Show the certificates of a keyring and their fingerprints."`
	Restore KeyringRestoreCmd `cmd:"" help:"Bring the kept previous keyring back (root, on the board)."`
}

// KeyringShowCmd is "usbagent keyring show".
type KeyringShowCmd struct {
	JSON bool   `name:"json" help:"For programs: JSON."`
	File string `arg:"" optional:"" name:"file" default:"${keyring}" help:"The keyring, PEM (default ${keyring})."`
}

// Run shows the keyring.
func (c *KeyringShowCmd) Run() error { return errors.New("not built in yet") }

// KeyringRestoreCmd is "usbagent keyring restore".
type KeyringRestoreCmd struct {
	Config string `placeholder:"FILE" default:"${config}" help:"Configuration (default ${config}; missing: the defaults)."`
}

// Run restores the previous keyring.
func (c *KeyringRestoreCmd) Run() error { return errors.New("not built in yet") }
