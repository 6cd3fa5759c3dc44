// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// helpWidth is the width of help texts in columns.
const helpWidth = 100

// showHelp writes the help of a command to the standard output.
func showHelp(cmd *cobra.Command, _ []string) { writeHelp(cmd.OutOrStdout(), cmd) }

func writeHelp(w io.Writer, cmd *cobra.Command) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(w, "Usage: %s\n\n%s\n", usageLine(cmd), text)
	if name := cmd.Annotations[operandName]; name != "" {
		fmt.Fprintf(w, "\nArgument:\n  %s   %s\n", name, cmd.Annotations[operandHelp])
	}
	for _, group := range cmd.Groups() {
		writeGroup(w, cmd, group)
	}
	cmd.InheritedFlags() // merges them into the flags
	fmt.Fprintf(w, "\nFlags:\n%s", cmd.Flags().FlagUsagesWrapped(helpWidth))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n\"%s COMMAND --help\" tells more about a command.\n", cmd.CommandPath())
	}
}

func usageLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return cmd.CommandPath() + " COMMAND"
	}
	return cmd.UseLine()
}

// writeGroup writes a line for each command of the group below cmd.
func writeGroup(w io.Writer, cmd *cobra.Command, group *cobra.Group) {
	var rows [][]string
	for _, c := range leaves(cmd) {
		if c.GroupID == group.ID {
			rows = append(rows, []string{strings.TrimPrefix(c.CommandPath(), cmd.CommandPath()+" "), c.Short})
		}
	}
	if len(rows) > 0 {
		var b strings.Builder
		writeTable(&b, rows, -1, nil)
		fmt.Fprintf(w, "\n%s\n%s", group.Title, b.String())
	}
}

// leaves returns the commands below cmd that do something and are not hidden.
func leaves(cmd *cobra.Command) []*cobra.Command {
	var found []*cobra.Command
	for _, c := range cmd.Commands() {
		switch {
		case c.Hidden:
		case c.HasSubCommands():
			found = append(found, leaves(c)...)
		default:
			found = append(found, c)
		}
	}
	return found
}

// helpCommand is "usbagent help [COMMAND]".
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Show the help of a command.", GroupID: about, DisableFlagsInUseLine: true,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if cmd, rest, err := root.Find(args); err == nil && len(rest) == 0 {
				for _, c := range cmd.Commands() {
					if !c.Hidden {
						names = append(names, c.Name()+"\t"+c.Short)
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return unknownCommand(cmd, rest[0])
			}
			showHelp(cmd, nil)
			return nil
		},
	}
}
