// SPDX-License-Identifier: GPL-3.0-or-later

// Package agent is what happens to a stick, from the kernel's first word of it
// to the LED's last: device, mount, keyring, script, images, result.
//
// Two functions do most of it. [Agent.Run] is the daemon; [Inspect] tells at a
// desk what a board would do, by the very decisions that the daemon takes
// (decide.go, inspect.go) and without any effect. [Agent.Process] is one pass
// of the daemon over a directory.
//
// # Order and waiting
//
// One goroutine owns the devices (agent_linux.go): events are hints, sysfs is
// looked at again, and the same DISKSEQ is the same insertion. Each stick has
// a goroutine of its own that finds, mounts and reads (stick_linux.go); it may
// hang as long as the device does and is then abandoned after a named time.
// One goroutine has all the effects (effects_linux.go, images_linux.go), stick
// after stick in order of arrival, on bytes that are in memory already. So no
// device holds up another, and no two effects ever run at once.
//
// # Threat model
//
// Whoever holds the stick chooses every byte, name and label, and may answer
// differently each time. A file is opened beneath the root of its mount with
// no link followed, must be regular, is read once into memory, and what was
// verified there is what is installed or run. Names and labels are data: they
// reach logs, status.json and terminals only through [Show].
//
// Nothing is written to a stick, but for the receipt where report.on_stick asks
// for it (report_linux.go): by then all that the stick asked for is done.
//
// # Failure model
//
// The power may go at any instant. What must hold then is written durably
// before it is acted upon: the keyring by package keyring, the list of
// executed scripts by package executedlist. The state directory (package
// ledger) is history: a daemon that is killed and started again finds out from
// it what it was at, and losing it loses no safety.
package agent
