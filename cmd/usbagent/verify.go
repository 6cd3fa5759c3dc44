// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "errors"

// VerifyCmd is "usbagent verify".
type VerifyCmd struct {
	Keyring   string `required:"" placeholder:"FILE" help:"The trusted certificates, PEM."`
	Signature string `placeholder:"FILE" help:"The signature, DER (default FILE.p7s)."`
	JSON      bool   `name:"json" help:"For programs: JSON."`
	File      string `arg:"" name:"file" help:"The signed file."`
}

// Run verifies.
func (c *VerifyCmd) Run() error { return errors.New("not built in yet") }
