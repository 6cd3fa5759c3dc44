// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Command measure runs on the emulated board: "measure stop" ends its kernel's
// tracing, and prints what that says of a stick, a marks.Result, as JSON.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"usbagent/test/board/marks"
)

const tracing = "/sys/kernel/tracing"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 || args[0] != "stop" {
		return errors.New("usage: measure stop")
	}
	return stop()
}

func stop() error {
	if err := os.WriteFile(tracing+"/tracing_on", []byte("0"), 0); err != nil {
		return err
	}
	trace, err := os.Open(tracing + "/trace")
	if err != nil {
		return err
	}
	defer trace.Close()
	r, err := marks.Read(trace)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}
