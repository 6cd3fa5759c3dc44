// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"strings"

	"usbagent/internal/spelling"
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
	onBoard = "On a board:"
	atDesk  = "At the desk:"
	about   = "About usbagent:"
)

const description = `USB update agent: a stick's keyring, script and firmware images, verified and done.

Exit status: 0 good, 1 the answer is no (not verified, would be refused, failed), 2 wrong usage or cannot run.`

// command is a part of the command line: one that does something (a leaf), or
// one that only has others below it (a parent).
type command struct {
	name, short string
	use         string // how a leaf is typed, without the names of those above it
	group       string
	hidden      bool // no help, manual page or completion names it

	options []*option
	help    bool // the flag that every command has
	operand argument
	run     func() error

	// pick, where it is not nil, takes all operands and returns the command
	// that is to run instead.
	pick func(operands []string) (*command, error)

	above *command
	below []*command
}

// argument is the operand of a leaf; one without a name takes none.
type argument struct {
	name, help string
	least      int // 0 or 1 of it must be there
	text       *string
	words      []string // what completes it
}

// commandLine is the whole command line; help, manual pages and completions
// come from it.
func commandLine() *command {
	root := parent("usbagent", "USB update agent of a charging board, and the tool of those who make its sticks", "")
	root.add(new(RunCmd).command(), new(ProcessCmd).command(), new(StatusCmd).command(),
		keyringCommand(), new(CheckCmd).command(), new(StickCmd).command(), new(VerifyCmd).command(), new(SignCmd).command(),
		new(VersionCmd).command(), new(CompletionCmd).command(), new(ManualCmd).command(root), helpCommand(root))
	root.offerHelp()
	return root
}

// parent returns a command that only has others below it; called by itself it
// is wrong usage.
func parent(name, short, group string, below ...*command) *command {
	c := &command{name: name, short: short, group: group}
	c.add(below...)
	c.pick = func(operands []string) (*command, error) {
		if len(operands) > 0 {
			return nil, c.unknown(operands[0])
		}
		var names []string
		for _, b := range c.below {
			if !b.hidden {
				names = append(names, b.name)
			}
		}
		return nil, errors.New("expected one of " + strings.Join(names, ", "))
	}
	return c
}

// leaf returns a command that does something. use is its command line after
// "usbagent", names aside.
func leaf(use, short, group string, run func() error) *command {
	name, _, _ := strings.Cut(use, " ")
	return &command{name: name, use: use, short: short, group: group, run: run}
}

// operand gives a command its one argument: at least (0 or 1) of it must be
// there.
func operand(c *command, p *string, name, help string, least int) {
	c.operand = argument{name: name, help: help, least: least, text: p}
}

func (c *command) add(below ...*command) {
	for _, b := range below {
		b.above = c
		b.offerHelp()
		c.below = append(c.below, b)
	}
}

// offerHelp adds the flag that every command has, after all others.
func (c *command) offerHelp() {
	flag{"help", "h", "", "Show this help."}.toggle(c, &c.help)
}

// path is the command as it is typed, with those above it.
func (c *command) path() string {
	if c.above == nil {
		return c.name
	}
	return c.above.path() + " " + c.name
}

// usage is the command's line in the help.
func (c *command) usage() string {
	if c.use == "" {
		return c.path() + " COMMAND"
	}
	return strings.TrimSuffix(c.path(), c.name) + c.use
}

// unknown is the error about a command that is not below c.
func (c *command) unknown(name string) error {
	typed := strings.ToLower(name)
	for _, b := range c.below {
		if !b.hidden && b.name != helpName && (strings.HasPrefix(b.name, typed) || spelling.Distance(typed, b.name) <= spelling.Near) {
			return fmt.Errorf("unknown command %q, is %q meant?", name, b.name)
		}
	}
	return fmt.Errorf("unknown command %q", name)
}

// takes hands the operands over.
func (a argument) takes(operands []string) error {
	most := 0
	if a.text != nil {
		most = 1
	}
	if len(operands) > most {
		return fmt.Errorf("unexpected argument %q", operands[most])
	}
	if len(operands) < a.least {
		return errors.New("expected " + a.name)
	}
	if len(operands) == 1 {
		*a.text = operands[0]
	}
	return nil
}
