// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Command measure runs on the emulated board and asks its kernel's tracing what
// happens to a stick and when, so that what is measured need not know of it:
// "measure start", then the stick, then "measure stop", which prints a Result
// as JSON. See Documentation/trace/ftrace.rst and kprobetrace.rst.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

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
	if len(args) != 1 {
		return errors.New("usage: measure start | stop")
	}
	switch args[0] {
	case "start":
		return start()
	case "stop":
		return stop()
	}
	return fmt.Errorf("%q is no command of mine", args[0])
}

// probes are places in the kernel that have no trace event of their own: an
// event for user space, with its object's name, and a file that gets a new name.
// The registers are those of the procedure call standard for ARM.
const probes = `p:bench/uevent kobject_uevent_env action=%r1:u32 name=+0(+0(%r0)):string
p:bench/rename do_renameat2 to=+0(+0(%r3)):string
`

var events = []string{
	"bench/uevent", "bench/rename", "gpio/gpio_value", "syscalls/sys_exit_mount", "syscalls/sys_exit_move_mount",
	"task/task_newtask", "task/task_rename", "sched/sched_process_exec", "sched/sched_switch",
}

// bufferSize is the trace buffer's size in KiB.
const bufferSize = "24576"

func start() error {
	if _, err := os.Stat(tracing + "/trace"); err != nil {
		if err := unix.Mount("tracefs", tracing, "tracefs", 0, ""); err != nil {
			return fmt.Errorf("mount tracefs: %w", err)
		}
	}
	if err := write("tracing_on", "0"); err != nil {
		return err
	}
	if _, err := os.Stat(tracing + "/events/bench"); err != nil {
		if err := write("kprobe_events", probes); err != nil {
			return err
		}
	}
	if err := write("buffer_size_kb", bufferSize); err != nil {
		return err
	}
	for _, e := range events {
		if err := write("events/"+e+"/enable", "1"); err != nil {
			return err
		}
	}
	return errors.Join(write("trace", ""), write("tracing_on", "1"))
}

// write writes a file of tracefs line by line: each is a command of its own.
func write(name, text string) error {
	f, err := os.OpenFile(filepath.Join(tracing, name), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if _, err := f.WriteString(line + "\n"); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return nil
}

func stop() error {
	if err := write("tracing_on", "0"); err != nil {
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
