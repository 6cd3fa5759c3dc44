// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// entry is one command of the command line, as manual pages and completions
// need it.
type entry struct {
	path     string // "keyring show"; "" for usbagent itself
	help     string
	synopsis string
	children []string // names of its subcommands
	flags    []option
	operands []option // arguments
	files    bool     // takes files or folders
}

// option is a flag or an argument.
type option struct {
	long, short string // "keyring", "k"; an argument has its name in long
	value       string // "FILE"; "" for a switch
	help        string
	enum        []string
}

// model returns all commands that are not hidden, usbagent itself first.
func model() ([]entry, error) {
	app, err := kong.New(new(commands), options()...)
	if err != nil {
		return nil, err
	}
	var entries []entry
	collect(app.Model.Node, "", &entries)
	return entries, nil
}

func collect(node *kong.Node, path string, entries *[]entry) {
	e := entry{path: path, help: node.Help, synopsis: strings.TrimSpace(node.Summary())}
	for _, flag := range node.Flags {
		if !flag.Hidden {
			e.flags = append(e.flags, asOption(flag.Value, flag.Short, flag.PlaceHolder))
		}
	}
	for _, argument := range node.Positional {
		e.operands = append(e.operands, asOption(argument, 0, argument.Name))
		e.files = true
	}
	var below []*kong.Node
	for _, child := range node.Children {
		if !child.Hidden {
			e.children = append(e.children, child.Name)
			below = append(below, child)
		}
	}
	*entries = append(*entries, e)
	for _, child := range below {
		collect(child, strings.TrimSpace(path+" "+child.Name), entries)
	}
}

func asOption(v *kong.Value, short rune, placeholder string) option {
	o := option{long: v.Name, help: v.Help}
	if short != 0 {
		o.short = string(short)
	}
	if !v.IsBool() {
		o.value = strings.ToUpper(placeholder)
		if o.value == "" {
			o.value = strings.ToUpper(v.Name)
		}
	}
	if v.Enum != "" {
		o.enum = strings.Split(v.Enum, ",")
	}
	return o
}

// words are the flags of a command as they are typed.
func (e entry) words() []string {
	var words []string
	for _, f := range e.flags {
		words = append(words, "--"+f.long)
	}
	return words
}
