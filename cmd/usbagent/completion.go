// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"

	"github.com/spf13/cobra"
)

// CompletionCmd is "usbagent completion".
type CompletionCmd struct{ Shell string }

var shells = []string{"bash", "zsh", "fish", "powershell"}

func (c *CompletionCmd) command(root *cobra.Command) *cobra.Command {
	cmd := leaf("completion SHELL", "Print what teaches a shell this command line.", about, func() error { return c.Run(root) })
	operand(cmd, &c.Shell, "SHELL", "bash, zsh, fish or powershell", 1)
	cmd.ValidArgs = shells
	return cmd
}

// Run prints the script that teaches a shell the command line. It asks the
// program itself ("usbagent __complete") for the words.
func (c *CompletionCmd) Run(root *cobra.Command) error {
	switch c.Shell {
	case "bash":
		return root.GenBashCompletionV2(os.Stdout, true)
	case "zsh":
		return root.GenZshCompletion(os.Stdout)
	case "fish":
		return root.GenFishCompletion(os.Stdout, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(os.Stdout)
	}
	return oneOf(shells, c.Shell)
}
