// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
)

// Set by the linker (see Makefile).
var (
	version = "0.1.0-dev"
	commit  = "unknown"
)

// VersionCmd is "usbagent version".
type VersionCmd struct{ JSON bool }

func (c *VersionCmd) command() *command {
	cmd := leaf("version [flags]", "Show version, commit and Go version.", about, c.Run)
	jsonFlag.toggle(cmd, &c.JSON)
	return cmd
}

// jsonFlag is the same for all commands.
var jsonFlag = flag{"json", "", "", "For programs: JSON."}

// Run prints what was built, from what, with what.
func (c *VersionCmd) Run() error {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	if c.JSON {
		return printJSON(map[string]string{
			"version": version, "commit": commit, "go": runtime.Version(), "platform": platform,
		})
	}
	_, err := fmt.Printf("usbagent %s, commit %s, %s, %s\n", version, commit, runtime.Version(), platform)
	return err
}

// printJSON writes v to the standard output, indented.
func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
