// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Where a board has its files, unless flags say otherwise.
const (
	defaultConfig  = "/etc/usbagent/config.toml"
	defaultKeyring = "/etc/rauc/keyring.pem"
	defaultStatus  = "/run/usbagent/status.json"
	defaultRunDir  = "/run/usbagent"
)

// Groups of commands in the help.
const (
	onBoard = "board"
	atDesk  = "desk"
	about   = "about"
)

const description = `USB update agent: a stick's keyring, script and firmware images, verified and done.

Exit status: 0 good, 1 the answer is no (not verified, would be refused, failed), 2 wrong usage or cannot run.`

// commandLine is the whole command line; help, manual pages and completions
// come from it. text/template must
// stay out of the binary, since it looks methods up by name, which makes the
// linker keep every method there is (3 MB of them); so help is written by our
// own code, and cobra's templates are never set.
func commandLine() *cobra.Command {
	cobra.EnableCommandSorting = false
	root := parent("usbagent", "USB update agent of a charging board, and the tool of those who make its sticks", "")
	root.Long = description
	root.SilenceErrors, root.SilenceUsage, root.CompletionOptions.DisableDefaultCmd = true, true, true
	root.PersistentFlags().BoolP("help", "h", false, "Show this help.")
	root.SetHelpFunc(showHelp)
	root.AddCommand(new(RunCmd).command(), new(ProcessCmd).command(), new(StatusCmd).command(),
		keyringCommand(), new(CheckCmd).command(), new(StickCmd).command(), new(VerifyCmd).command(), new(SignCmd).command(),
		new(VersionCmd).command(), new(CompletionCmd).command(root), new(ManualCmd).command(root))
	root.SetHelpCommand(helpCommand(root))
	root.InitDefaultHelpCmd()
	return root
}

// parent returns a command that only has others below it; called by itself it
// is wrong usage.
func parent(name, short, group string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, GroupID: group, Args: cobra.ArbitraryArgs}
	cmd.AddGroup(&cobra.Group{ID: onBoard, Title: "On a board:"}, &cobra.Group{ID: atDesk, Title: "At the desk:"}, &cobra.Group{ID: about, Title: "About usbagent:"})
	cmd.AddCommand(children...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		var names []string
		for _, child := range cmd.Commands() {
			if !child.Hidden {
				names = append(names, child.Name())
			}
		}
		return errors.New("expected one of " + strings.Join(names, ", "))
	}
	return cmd
}

func unknownCommand(parent *cobra.Command, name string) error {
	parent.SuggestionsMinimumDistance = 2
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("unknown command %q, is %q meant?", name, near[0])
	}
	return fmt.Errorf("unknown command %q", name)
}

// ran is the error of a command that was started, which tells it from the
// errors of cobra and of our own functions about wrong usage.
type ran struct{ error }

func (r ran) Unwrap() error { return r.error }

// leaf returns a command that does something. use is its command line after
// "usbagent", names aside.
func leaf(use, short, group string, run func() error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, GroupID: group, DisableFlagsInUseLine: true, Args: operands(0, nil),
		RunE: func(*cobra.Command, []string) error {
			if err := run(); err != nil {
				return ran{err}
			}
			return nil
		},
	}
	cmd.Flags().SortFlags = false
	return cmd
}

// operand gives a command its one argument: at least (0 or 1) of it must be
// there.
func operand(cmd *cobra.Command, p *string, name, help string, least int) {
	cmd.Annotations = map[string]string{operandName: name, operandHelp: help}
	cmd.Args = operands(least, p)
}

// Keys of a command's annotations.
const (
	operandName = "operand"
	operandHelp = "help"
)

// operands takes at least this many arguments: none, or one into *p.
func operands(least int, p *string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		most := 0
		if p != nil {
			most = 1
		}
		if len(args) > most {
			return fmt.Errorf("unexpected argument %q", args[most])
		}
		if len(args) < least {
			return errors.New("expected " + cmd.Annotations[operandName])
		}
		if len(args) == 1 {
			*p = args[0]
		}
		return nil
	}
}
