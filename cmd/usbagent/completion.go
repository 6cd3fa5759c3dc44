// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	_ "embed" // the scripts
	"os"
	"strings"
)

// completeName is the hidden command that the shells ask for words. Its
// arguments are what has been typed after "usbagent", the last of them
// unfinished; it prints a line for each word that this may become, with a tab
// and what it means, and ":0" where names of files may follow, else ":4".
// Scripts that cobra wrote for earlier versions ask the same way.
const completeName = "__complete"

// CompletionCmd is "usbagent completion".
type CompletionCmd struct{ Shell string }

var shells = []string{"bash", "zsh", "fish", "powershell"}

// The scripts, which ask the program itself for the words.
var (
	//go:embed shells/usbagent.bash
	bashScript string
	//go:embed shells/usbagent.zsh
	zshScript string
	//go:embed shells/usbagent.fish
	fishScript string
	//go:embed shells/usbagent.powershell
	powershellScript string
)

func (c *CompletionCmd) command() *command {
	cmd := leaf("completion SHELL", "Print what teaches a shell this command line.", about, c.Run)
	operand(cmd, &c.Shell, "SHELL", "bash, zsh, fish or powershell", 1)
	cmd.operand.words = shells
	return cmd
}

// Run prints the script that teaches a shell the command line.
func (c *CompletionCmd) Run() error {
	script := ""
	switch c.Shell {
	case "bash":
		script = bashScript
	case "zsh":
		script = zshScript
	case "fish":
		script = fishScript
	case "powershell":
		script = powershellScript
	default:
		return oneOf(shells, c.Shell)
	}
	_, err := os.Stdout.WriteString(script)
	return err
}

func (c *command) printCompletions(args []string) error {
	words, files := c.complete(args)
	end := ":4\n"
	if files {
		end = ":0\n"
	}
	_, err := os.Stdout.WriteString(strings.Join(append(words, end), "\n"))
	return err
}

// complete returns what the last argument may become, each word with a tab and
// what it means, and whether names of files may follow.
func (c *command) complete(args []string) (words []string, files bool) {
	args, last := args[:len(args)-1], args[len(args)-1]
	c, args = c.find(args)
	flags := noDashes(args)
	if flags {
		if o, before, part := c.unfinished(args, last); o != nil {
			_, err := c.take(before)
			return matching(o.words, part), err == nil && len(o.words) == 0
		}
	}
	operands, err := c.take(args)
	switch {
	case err != nil:
		return nil, true
	case flags && strings.HasPrefix(last, "-"):
		return c.completeFlag(last), false
	}
	return c.completeOperand(operands, last)
}

// noDashes reports whether flags may still follow.
func noDashes(args []string) bool {
	for _, arg := range args {
		if arg == "--" {
			return false
		}
	}
	return true
}

// unfinished returns the flag whose value the last argument is, the arguments
// before the flag, and what there is of the value.
func (c *command) unfinished(args []string, last string) (o *option, before []string, part string) {
	typed, part, has := strings.Cut(last, "=")
	if has && strings.HasPrefix(last, "-") {
		return c.optionOf(typed), args, part
	}
	if len(args) > 0 && !strings.HasPrefix(last, "-") {
		n := len(args) - 1
		if o := c.optionOf(args[n]); o != nil && o.toggle == nil {
			return o, args[:n], last
		}
	}
	return nil, nil, ""
}

// optionOf returns the flag that the argument ends with, or nil.
func (c *command) optionOf(arg string) *option {
	if name, long := strings.CutPrefix(arg, "--"); long {
		return c.option(name)
	}
	if len(arg) > 1 && arg[0] == '-' {
		return c.shortOption(arg[len(arg)-1])
	}
	return nil
}

// completeFlag returns the flags that begin so: those that must be there
// first, the others when none of these is left.
func (c *command) completeFlag(typed string) []string {
	if words := c.flagsLike(typed, true); len(words) > 0 {
		return words
	}
	return c.flagsLike(typed, false)
}

func (c *command) flagsLike(typed string, required bool) []string {
	var words []string
	for _, o := range c.options {
		if o.required != required || o.hidden || o.given && o.list == nil {
			continue
		}
		words = append(words, "--"+o.long+"\t"+o.help)
		if o.short != "" {
			words = append(words, "-"+o.short+"\t"+o.help)
		}
	}
	return matching(words, typed)
}

// completeOperand returns the commands and the words that begin so, and the
// flags that must be there.
func (c *command) completeOperand(operands []string, typed string) (words []string, files bool) {
	above := c
	if c.name == helpName {
		above, operands = c.above.find(operands)
	}
	if len(operands) == 0 {
		for _, b := range above.below {
			if !b.hidden {
				words = append(words, b.name+"\t"+b.short)
			}
		}
		words = append(words, c.operand.words...)
	}
	files = c.name != helpName && len(words) == 0
	return matching(append(words, c.flagsLike("-", true)...), typed), files
}

// matching returns the words that begin with what was typed.
func matching(words []string, typed string) []string {
	var found []string
	for _, w := range words {
		if strings.HasPrefix(w, typed) {
			found = append(found, w)
		}
	}
	return found
}
