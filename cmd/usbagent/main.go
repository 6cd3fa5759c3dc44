// SPDX-License-Identifier: GPL-3.0-or-later

// Command usbagent is the USB update agent of a charging board and the desk
// tool of those who make its sticks, in one static binary.
//
// This package holds flags, configuration, logger, signals, wiring and exit
// statuses; it decides nothing about a stick. Every command is a struct with
// its flags, a Run method and its place in the command line, in a file of its
// own name.
package main

import (
	"errors"
	"fmt"
	"os"
)

// Exit statuses of every command.
const (
	exitGood = 0
	exitNo   = 1 // the answer is no: not verified, would be refused, a step failed
	exitFail = 2 // wrong usage, or the command cannot run
)

// no is the error of a command whose answer is no. A nil reason prints
// nothing: the command has said it all on its standard output.
type no struct{ reason error }

func (n no) Error() string {
	if n.reason == nil {
		return ""
	}
	return n.reason.Error()
}

func (n no) Unwrap() error { return n.reason }

func main() { os.Exit(run(os.Args[1:])) }

// run does what the arguments ask for and returns the exit status.
func run(args []string) int {
	if status, ok := hidden(args); ok {
		return status
	}
	leaveExplorer()
	root := commandLine()
	if len(args) > 1 && args[0] == completeName {
		return fail("usbagent", root.printCompletions(args[1:]))
	}
	cmd, err := root.parse(args)
	if err != nil {
		return fail("usbagent", fmt.Errorf("%w (usbagent --help lists what there is)", err))
	}
	return fail(cmd.path(), cmd.run())
}

// fail prints err, if any, after the name of the command and returns the exit
// status that belongs to it.
func fail(command string, err error) int {
	if err == nil {
		return exitGood
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(os.Stderr, "%s: %s\n", command, plain(text))
	}
	if errors.As(err, new(no)) {
		return exitNo
	}
	return exitFail
}
