// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "errors"

// SignCmd is "usbagent sign".
type SignCmd struct {
	Key   string `required:"" placeholder:"FILE" help:"The private key, PEM."`
	Cert  string `required:"" placeholder:"FILE" help:"The signer's certificate, PEM."`
	Chain string `placeholder:"FILE" help:"Further certificates for the signature, PEM."`
	File  string `arg:"" name:"file" help:"The file to sign."`
}

// Run signs.
func (c *SignCmd) Run() error { return errors.New("not built in yet") }
