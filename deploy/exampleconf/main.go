// SPDX-License-Identifier: GPL-3.0-or-later

// Command exampleconf prints the default configuration that packages and
// "make install" put into /etc/usbagent/config.toml: every key with its
// default, as a comment.
package main

import (
	"fmt"
	"os"

	"usbagent/config"
)

func main() {
	if _, err := fmt.Print(config.Example()); err != nil {
		os.Exit(1)
	}
}
