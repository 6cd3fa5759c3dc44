// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// flag is what a flag is, apart from its type.
type flag struct{ long, short, value, help string }

// option is a flag of a command. One of its pointers is not nil; they hold the
// default until the flag is set.
type option struct {
	flag
	text   *string
	words  []string // where there are some, text is one of them
	number *int
	toggle *bool
	list   *[]string

	required, hidden, given bool
}

// text adds a flag that takes a text; *p holds its default.
func (f flag) text(c *command, p *string) { c.options = append(c.options, &option{flag: f, text: p}) }

// choice adds a flag that takes one of the words; *p holds its default.
func (f flag) choice(c *command, p *string, words ...string) {
	c.options = append(c.options, &option{flag: f, text: p, words: words})
}

// number adds a flag that takes a number; *p holds its default.
func (f flag) number(c *command, p *int) { c.options = append(c.options, &option{flag: f, number: p}) }

// toggle adds a flag that is there or not.
func (f flag) toggle(c *command, p *bool) { c.options = append(c.options, &option{flag: f, toggle: p}) }

// list adds a flag that may be there several times. Commas are nothing special
// in it.
func (f flag) list(c *command, p *[]string) { c.options = append(c.options, &option{flag: f, list: p}) }

// require marks flags as required; hide keeps them out of the help.
func require(c *command, names ...string) {
	for _, o := range c.options {
		o.required = o.required || slices.Contains(names, o.long)
	}
}

func hide(c *command, names ...string) {
	for _, o := range c.options {
		o.hidden = o.hidden || slices.Contains(names, o.long)
	}
}

// name is the flag as messages and help name it.
func (o *option) name() string {
	if o.short != "" {
		return "-" + o.short + ", --" + o.long
	}
	return "--" + o.long
}

// describe is the flag's help, with the default where there is one.
func (o *option) describe() string {
	standard := ""
	switch {
	case o.text != nil:
		standard = *o.text
	case o.number != nil:
		standard = strconv.Itoa(*o.number)
	}
	if standard == "" || standard == "0" {
		return o.help
	}
	return o.help + " (default " + standard + ")"
}

// set takes a value as it was typed.
func (o *option) set(value string) (err error) {
	switch {
	case o.text != nil:
		if err = oneOf(o.words, value); err == nil {
			*o.text = value
		}
	case o.number != nil:
		n, wrong := strconv.Atoi(value)
		if wrong != nil {
			err = fmt.Errorf("%q is no number", value)
		} else {
			*o.number = n
		}
	case o.toggle != nil:
		*o.toggle, err = strconv.ParseBool(value)
	default:
		*o.list = append(*o.list, value)
	}
	if err != nil {
		return fmt.Errorf("invalid argument %q for %q flag: %w", value, o.name(), err)
	}
	o.given = true
	return nil
}

// oneOf is nil when text is among words, or where there are none.
func oneOf(words []string, text string) error {
	if len(words) > 0 && !slices.Contains(words, text) {
		return fmt.Errorf("must be one of %s, not %q", strings.Join(words, ", "), text)
	}
	return nil
}
