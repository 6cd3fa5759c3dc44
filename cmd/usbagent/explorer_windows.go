// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/inconshreveable/mousetrap"
)

// leaveExplorer ends a program that was started by a double click, and leaves
// the time to read why.
func leaveExplorer() {
	if mousetrap.StartedByExplorer() {
		fmt.Fprint(os.Stderr, "This is a command line tool.\n\nYou need to open cmd.exe and run it from there.\n")
		time.Sleep(5 * time.Second)
		os.Exit(1)
	}
}
