// SPDX-License-Identifier: GPL-3.0-or-later

// Command board runs the emulated board for a human: "board run [cold]" with
// its console on the terminal, "board plug [DIR]" puts a stick in or, without
// DIR, takes it out, "board build" builds all its layers.
package main

import (
	"fmt"
	"os"

	"usbagent/test/board"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "board:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	c, err := board.OpenCache()
	if err != nil {
		return err
	}
	args = append(args, "", "")
	switch args[0] {
	case "run":
		return board.Interactive(c, args[1] == "cold")
	case "plug":
		return board.Plug(c, args[1])
	case "build":
		fw, err := board.BuildFirmware(c)
		if err != nil {
			return err
		}
		_, err = board.Booted(c, fw)
		return err
	}
	return fmt.Errorf("usage: board run [cold] | board plug [DIR] | board build")
}
