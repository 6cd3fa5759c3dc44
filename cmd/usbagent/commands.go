// SPDX-License-Identifier: GPL-3.0-or-later

package main

import "github.com/alecthomas/kong"

// commands is the whole command line; help, manual pages and completions come
// from it.
type commands struct {
	Run     RunCmd     `cmd:"" help:"Run the daemon: wait for sticks and do what they bring."`
	Process ProcessCmd `cmd:"" help:"Do once what the daemon does with a stick, on a mounted directory."`
	Check   CheckCmd   `cmd:"" help:"Tell what a board would do with a stick, and why; changes nothing."`
	Verify  VerifyCmd  `cmd:"" help:"Verify the detached signature of one file."`
	Sign    SignCmd    `cmd:"" help:"Sign one file: write FILE.p7s."`
	Status  StatusCmd  `cmd:"" help:"Show the state of the running agent and the last sticks."`
	Keyring KeyringCmd `cmd:"" help:"Show the certificates of a keyring, or bring the previous one back."`
	Version VersionCmd `cmd:"" help:"Show version, commit and Go version."`

	Completion CompletionCmd `cmd:"" help:"Print what teaches a shell this command line."`
	Manual     ManualCmd     `cmd:"" hidden:"" help:"Print a manual page."`
}

const description = `USB update agent: a stick's keyring, script and firmware images, verified and done.

Exit status: 0 good, 1 the answer is no (not verified, would be refused, failed), 2 wrong usage or cannot run.`

// options are those of the parser. The defaults named here are the board's.
func options() []kong.Option {
	return []kong.Option{
		kong.Name("usbagent"),
		kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.Vars{
			"config":  "/etc/usbagent/config.toml",
			"keyring": "/etc/rauc/keyring.pem",
			"status":  "/run/usbagent/status.json",
		},
	}
}
