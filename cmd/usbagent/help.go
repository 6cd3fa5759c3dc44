// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"strings"
)

// helpWidth is the width of help texts in columns; a last word or two may
// stand out by orphanWidth, lest they get a line of their own.
const (
	helpWidth   = 100
	orphanWidth = 5
)

const helpName = "help"

// helpOf returns a command that writes the help of c to the standard output.
func helpOf(c *command) *command {
	return leaf(helpName, "", "", func() error {
		_, err := os.Stdout.WriteString(c.helpText())
		return err
	})
}

// helpCommand is "usbagent help [COMMAND]".
func helpCommand(root *command) *command {
	c := leaf("help [COMMAND]", "Show the help of a command.", about, nil)
	c.pick = func(operands []string) (*command, error) {
		found, rest := root.find(operands)
		if len(rest) > 0 {
			return nil, found.unknown(rest[0])
		}
		return helpOf(found), nil
	}
	return c
}

func (c *command) helpText() string {
	var b strings.Builder
	text := c.short
	if c.above == nil {
		text = description
	}
	b.WriteString("Usage: " + c.usage() + "\n\n" + text + "\n")
	if c.operand.name != "" {
		b.WriteString("\nArgument:\n  " + c.operand.name + "   " + c.operand.help + "\n")
	}
	for _, group := range []string{onBoard, atDesk, about} {
		c.writeGroup(&b, group)
	}
	b.WriteString("\nFlags:\n")
	c.writeFlags(&b)
	if len(c.below) > 0 {
		b.WriteString("\n\"" + c.path() + " COMMAND --help\" tells more about a command.\n")
	}
	return b.String()
}

// writeGroup writes a line for each command of the group below c.
func (c *command) writeGroup(b *strings.Builder, group string) {
	var rows [][]string
	for _, l := range c.leaves() {
		if l.group == group {
			rows = append(rows, []string{strings.TrimPrefix(l.path(), c.path()+" "), l.short})
		}
	}
	if len(rows) > 0 {
		b.WriteString("\n" + group + "\n")
		writeTable(b, rows, -1, nil)
	}
}

// leaves returns the commands below c that do something and are not hidden.
func (c *command) leaves() []*command {
	var found []*command
	for _, b := range c.below {
		switch {
		case b.hidden:
		case len(b.below) > 0:
			found = append(found, b.leaves()...)
		default:
			found = append(found, b)
		}
	}
	return found
}

// writeFlags writes the flags in two columns.
func (c *command) writeFlags(b *strings.Builder) {
	var rows [][2]string
	width := 0
	for _, o := range c.options {
		if o.hidden {
			continue
		}
		left := "  " + o.name()
		if o.short == "" {
			left = "      " + o.name()
		}
		if o.value != "" {
			left += " " + o.value
		}
		rows = append(rows, [2]string{left, o.describe()})
		width = max(width, len(left)+3)
	}
	for _, row := range rows {
		indent := strings.Repeat(" ", width-len(row[0]))
		for _, line := range wrap(row[1], helpWidth-width) {
			b.WriteString(row[0] + indent + line + "\n")
			row[0], indent = "", strings.Repeat(" ", width)
		}
	}
}

// wrap breaks text into lines of at most so many bytes where it has blanks.
func wrap(text string, width int) []string {
	var lines []string
	for len(text) > width {
		at := strings.LastIndexByte(text[:width-orphanWidth], ' ')
		if at <= 0 {
			break
		}
		lines = append(lines, text[:at])
		text = text[at+1:]
	}
	return append(lines, text)
}
