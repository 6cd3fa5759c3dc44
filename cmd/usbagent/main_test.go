// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"usbagent/test/need"
)

// TestMain lets the scripts run the real main as the command "usbagent".
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"usbagent": main})
}

// TestScripts runs the command lines of testdata/script.
func TestScripts(t *testing.T) {
	need.Tool(t, "openssl")
	need.Tool(t, "script") // gives a program a terminal
	need.RAUC(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds:                scriptCommands,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "UTC")
			return nil
		},
	})
}
