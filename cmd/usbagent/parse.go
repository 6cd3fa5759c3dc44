// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// parse hands the arguments to the command that they name and returns it, or
// the command that shows its help. An error is about wrong usage.
//
// Flags may stand anywhere: --flag value, --flag=value, -f value, -f=value,
// -fvalue, and short ones without a value together. What comes after "--" is
// no flag.
func (c *command) parse(args []string) (*command, error) {
	c, args = c.find(args)
	operands, err := c.take(args)
	if err != nil {
		return nil, err
	}
	if c.help {
		return helpOf(c), nil
	}
	if c.pick != nil {
		return c.pick(operands)
	}
	if err := c.operand.takes(operands); err != nil {
		return nil, err
	}
	return c, c.complain()
}

// find returns the command that the first words name, and the other arguments.
func (c *command) find(args []string) (*command, []string) {
	for {
		i := c.firstWord(args)
		if i < 0 {
			return c, args
		}
		next := c.child(args[i])
		if next == nil {
			return c, args
		}
		c, args = next, slices.Concat(args[:i], args[i+1:])
	}
}

// firstWord is the index of the first argument that is neither a flag nor,
// as far as c knows, the value of one; -1 where there is none.
func (c *command) firstWord(args []string) int {
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--":
			return -1
		case strings.HasPrefix(arg, "-"):
			if c.wantsValue(arg) {
				i++
			}
		case arg != "":
			return i
		}
	}
	return -1
}

// wantsValue reports whether the argument is a flag whose value is the next.
// One that c does not know may be a flag of a command that comes later.
func (c *command) wantsValue(arg string) bool {
	name, long := strings.CutPrefix(arg, "--")
	if strings.Contains(arg, "=") || !long && len(arg) != 2 {
		return false
	}
	o := c.option(name)
	if !long {
		o = c.shortOption(arg[1])
	}
	return o == nil || o.toggle == nil
}

func (c *command) child(name string) *command {
	for _, b := range c.below {
		if b.name == name {
			return b
		}
	}
	return nil
}

func (c *command) option(long string) *option {
	for _, o := range c.options {
		if o.long == long {
			return o
		}
	}
	return nil
}

func (c *command) shortOption(short byte) *option {
	for _, o := range c.options {
		if o.short == string(rune(short)) {
			return o
		}
	}
	return nil
}

// take sets the flags and returns the other arguments.
func (c *command) take(args []string) (operands []string, err error) {
	for len(args) > 0 && err == nil {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return append(operands, args...), nil
		case strings.HasPrefix(arg, "--"):
			args, err = c.takeLong(arg, args)
		case strings.HasPrefix(arg, "-") && arg != "-":
			args, err = c.takeShort(arg[1:], args)
		default:
			operands = append(operands, arg)
		}
	}
	return operands, err
}

// takeLong sets the flag that arg is and returns the arguments that are left.
func (c *command) takeLong(arg string, rest []string) ([]string, error) {
	name, value, has := strings.Cut(arg[len("--"):], "=")
	if name == "" || name[0] == '-' {
		return nil, errors.New("bad flag syntax: " + arg)
	}
	o := c.option(name)
	switch {
	case o == nil:
		return nil, errors.New("unknown flag: --" + name)
	case has:
	case o.toggle != nil:
		value = "true"
	case len(rest) == 0:
		return nil, errors.New("flag needs an argument: --" + name)
	default:
		value, rest = rest[0], rest[1:]
	}
	return rest, o.set(value)
}

// takeShort sets the flags of one argument and returns the arguments that are
// left.
func (c *command) takeShort(letters string, rest []string) ([]string, error) {
	for letters != "" {
		o, all, value := c.shortOption(letters[0]), letters, ""
		letters = letters[1:]
		switch {
		case o == nil:
			return nil, fmt.Errorf("unknown shorthand flag: %q in -%s", rune(all[0]), all)
		case len(letters) > 1 && letters[0] == '=':
			value, letters = letters[1:], ""
		case o.toggle != nil:
			value = "true"
		case letters != "":
			value, letters = letters, ""
		case len(rest) == 0:
			return nil, fmt.Errorf("flag needs an argument: %q in -%s", rune(all[0]), all)
		default:
			value, rest = rest[0], rest[1:]
		}
		if err := o.set(value); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// complain names the required flags that were not given.
func (c *command) complain() error {
	var names []string
	for _, o := range c.options {
		if o.required && !o.given {
			names = append(names, o.long)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf(`required flag(s) "%s" not set`, strings.Join(names, `", "`))
}
