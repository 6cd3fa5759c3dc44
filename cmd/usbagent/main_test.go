// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts run the real main as the command "usbagent".
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"usbagent": main})
}

// TestScripts runs the command lines of testdata/script. In them "status N"
// before a command expects the exit status N.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               func(e *testscript.Env) error { e.Setenv("TZ", "UTC"); return nil },
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"status": status},
	})
}
