// SPDX-License-Identifier: GPL-3.0-or-later

// Package autorun runs one verified script from a stick, so that it survives
// the agent and the stick.
//
// Most callers need three functions: [CheckScript] says whether verified
// bytes may be a script at all (it is portable, so the desk commands ask it
// too), [Runner.Start] runs them, and [Runner.Adopt], called once at the start
// of the agent before any other effect, finds the script of an earlier agent.
// The [Run] of either is waited for and then released:
//
//	run, err := runner.Adopt(ctx)           // or runner.Start(ctx, request)
//	exit, err := run.Wait(ctx)              // ctx ends the waiting only
//	…record the end durably…
//	err = run.Release()
//
// A small supervising process holds the script, records its end, and tells
// whichever agent listens. Where systemd is the init system that process and the
// script are a transient unit of their own (see [UnitPrefix]), the output goes to
// the journal, and [Runner.Prepare] makes the unit before it is needed: a
// daemon calls it whenever it has nothing better to do. Everywhere else it is a
// session, and the supervising process writes the output to syslog and hands it on.
//
// # Threat model
//
// The stick is hostile and may answer a second read with other bytes. Nothing
// is read from it here: Start takes a [signature.Verified], writes its bytes
// to a private file under the run directory and binds that file, read-only,
// over the script's name on the stick. The shell opens that name, and so do
// the script and its children (`exec sh "$0"`, `. ./autorun.sh`,
// `tail -n+20 "$0"`). Immediately before the shell is executed the name is
// checked to be the private file; if it is not, nothing is executed.
//
// What the script vouches for ([Directives]) is bound in the same way: a
// [Payload] holds the copies, which were hashed while they were made.
//
// A lazy unmount of the stick while the script runs would disconnect that
// bind from the working directory of the script, and a device that only
// pretends to be gone could feed it other bytes under its own name. Whoever
// detaches a stick must therefore use package internal/detach, which leaves the
// two connected.
//
// The script itself is trusted: it is signed, it is root, it has the whole
// system. It may kill the agent, the supervisor or itself; then its end is
// reported as unknown, and never guessed.
//
// # When not to use it
//
// For programs of the agent's own (ntfs-3g, an installer command): those end
// with the agent and must be confined, scripts must not.
package autorun

import (
	"errors"
	"fmt"
)

// ScriptName is what `$0` is, whatever case the name has on the stick.
const ScriptName = "autorun.sh"

// SyslogIdentifier names the script's lines in the journal and in syslog.
const SyslogIdentifier = "usb-autorun"

// UnitPrefix begins the name of the transient systemd units that scripts run
// in; a word and ".service" follow. Each has a name of its own, since a unit
// stays as long as a background child that its script left.
const UnitPrefix = "usbagent-script-"

// SupervisorCommand is the hidden subcommand of usbagent whose arguments go to
// [SupervisorMain].
const SupervisorCommand = "script-supervisor"

var (
	// ErrBusy is wrapped by Start's error while an earlier script runs or was
	// not released: adopt it first.
	ErrBusy = errors.New("another script runs or was not released yet")

	// ErrNotStarted is wrapped by the errors of Start and Wait when no line of
	// the script was executed.
	ErrNotStarted = errors.New("the script was not started")
)

// Exit is how a script ended. Background children that it left are not waited
// for and do not count.
type Exit struct {
	// Status is the exit status, 0 to 255; it means nothing when Signal is
	// set or Unknown is true.
	Status int `json:"status"`

	// Signal is the name of the signal that ended the script ("SIGTERM").
	Signal string `json:"signal,omitempty"`

	// TimedOut says that the script was ended because of Request.Timeout.
	TimedOut bool `json:"timed_out,omitempty"`

	// Unknown says that the record of the end was lost (its unit was removed,
	// its supervisor killed).
	Unknown bool `json:"unknown,omitempty"`
}

// Success reports whether the script is known to have ended with status 0.
func (e Exit) Success() bool { return e == Exit{} }

// String says in words how the script ended.
func (e Exit) String() string {
	switch {
	case e.Unknown:
		return "ended, status unknown"
	case e.TimedOut:
		return "ended because it ran longer than allowed"
	case e.Signal != "":
		return "ended by " + e.Signal
	}
	return fmt.Sprintf("ended with status %d", e.Status)
}
