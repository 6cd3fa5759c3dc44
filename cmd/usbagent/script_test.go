// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"usbagent/test/pki"
)

// scriptCommands are what the scripts have beside testscript's own commands.
var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	"status":   status,
	"pki":      makePKI,
	"p7s":      signWithOpenSSL,
	"template": template,
}

// status is the script command "status N PROGRAM ARGS…": like exec, but the
// program must exit with the status N.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// makePKI is "pki NAME…": a directory of that name with ca.pem, signer.pem and
// signer.key for each.
func makePKI(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		_, err := pki.New(ts.MkAbs(name), name)
		ts.Check(err)
	}
}

// signWithOpenSSL is "p7s NAME FILE…": FILE.p7s, signed in the PKI NAME.
func signWithOpenSSL(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: p7s pki file...")
	}
	dir := ts.MkAbs(args[0])
	p := pki.PKI{Cert: filepath.Join(dir, "signer.pem"), Key: filepath.Join(dir, "signer.key")}
	for _, file := range args[1:] {
		ts.Check(p.Sign(ts.MkAbs(file)))
	}
}

// template is "template FILE…": replaces $WORK in each.
func template(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}
