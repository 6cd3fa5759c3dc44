// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"time"

	"usbagent/autorun"
	"usbagent/config"
	"usbagent/installer"
	"usbagent/internal/logs"
	"usbagent/led"
	"usbagent/ledger"
)

// Named times of the daemon.
const (
	// BootWindow is how long after the start of the kernel a stick that is
	// first seen counts as having been there at boot.
	BootWindow = 120 * time.Second
	// BootWait is how long a script or an image of a stick that was there at
	// boot waits for the boot to finish.
	BootWait = 10 * time.Minute
	// StartTimeout is how long the start of a script may take, whose MD5 is in
	// the list already: one that is given up never runs. A board that boots, or
	// that many partitions keep busy, has other things to do.
	StartTimeout = 2 * time.Minute
	// StopTimeout is how long a stopping daemon waits for what it cannot
	// interrupt before it leaves it behind.
	StopTimeout = 3 * time.Second
	// ArrivalGrace is how long a stick that is ready lets one that came before
	// it, and is still being read, go first.
	ArrivalGrace = 5 * time.Second
	// DetachWait is how long a new stick waits for the mounts of a pulled one
	// to be gone, so that it is mounted where the first was.
	DetachWait = 5 * time.Second
	// PullNotice is how long after a device failed as one does that is being
	// pulled the kernel may take to say that it was.
	PullNotice = 3 * time.Second
	// relisten is the pause before the uevent socket is opened anew.
	relisten = time.Second
	// LookAhead is how long a stick that was just mounted may take to list its
	// files before the next thing is done.
	LookAhead = time.Second
	// PartitionWait is how long partitions that the partition table promises
	// may take to appear.
	PartitionWait = 5 * time.Second
	// minScriptBudget, twice, is the least memory in bytes for scripts that
	// were read and wait for their turn.
	minScriptBudget = 1 << 20
	// MaxAbandoned is the number of devices that may hang in the kernel at a
	// time before further sticks are refused.
	MaxAbandoned = 64
)

// Light shows the state; led.LED is one.
type Light interface{ Show(led.Pattern) }

// Scripts runs verified scripts; autorun.Runner is one.
type Scripts interface {
	Start(context.Context, autorun.Request) (*autorun.Run, error)
	Adopt(context.Context) (*autorun.Run, error)
	Prepare(context.Context) error
	Close()
}

// Machine is the system as a whole; installer.Machine is one.
type Machine interface {
	BootFinished(context.Context) error
	Greet(context.Context)
	ShuttingDown(context.Context) bool
	Reboot(context.Context) error
}

// Options is what a daemon, or a single pass over a directory, works with. The
// caller owns everything in it and closes what needs closing after Run.
type Options struct {
	Config   config.Config
	Problems []config.Problem // of the configuration, for status.json
	Version  string
	BootID   string
	Board    Board
	Log      *logs.Logger
	Ledger   *ledger.Ledger // nil where the state directory cannot be used
	StateDir string
	RAUCConf string // RAUC's system.conf, "" for the usual one
	RunDir   string
	Light    Light
	Scripts  Scripts
	Images   installer.Backend
	Machine  Machine
	// ConfigPath is where Config was looked for, for messages.
	ConfigPath string
	// Root, where set, stands in for / where the board's model and what an
	// earlier set-up left are looked for: benches.
	Root string
	// LoopFiles, where set, restricts loop devices to those whose backing file
	// begins like this: benches and tests share a machine.
	LoopFiles string
	// AtBoot makes every stick count as one that was there at boot, for benches.
	AtBoot bool
	// Ready is called once events are being received and nothing has been
	// touched yet. Alive, where set, is called every AliveEvery from the main loop.
	Ready      func()
	Alive      func()
	AliveEvery time.Duration
}
