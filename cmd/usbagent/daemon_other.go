// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package main

import "errors"

var errBoardOnly = errors.New("this command works on a Linux board only")

func runDaemon(string, benchFlags) error                { return errBoardOnly }
func processDirectory(string, string, benchFlags) error { return errBoardOnly }

// hidden knows the subcommands that only the daemon itself starts.
func hidden([]string) (int, bool) { return 0, false }
