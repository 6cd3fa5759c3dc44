// SPDX-License-Identifier: GPL-3.0-or-later

// Package installer hands images to what installs them: RAUC over D-Bus, a
// command of the integrator's, or nothing.
//
// The agent calls ReadTrailer and ParseManifest to learn what an image is,
// Decide to learn whether to install it, MustStage and Stage to put it where
// the device it came from cannot change it any more, and Run to install it.
// Run ends well only when the slots themselves say that the image is installed
// and boots next; an answer of the installer alone is never believed.
//
// Threat model. The bundle comes from a device that may return other bytes at
// every read, so everything parsed here is bounded, and what RAUC gets is
// either a private copy or a format that RAUC checks block by block. Any local
// user may talk to RAUC and send signals to us, so RAUC's name must belong to
// root, its unique name is pinned before anything is believed, and only what
// it says after our call was accepted counts. RAUC may be busy, hang, crash
// or answer late: every wait has a named bound.
//
// This package does not verify signatures: the caller does, on the CMS that
// ReadTrailer returns, and RAUC does again. It never logs.
package installer

import (
	"context"
	"errors"

	"usbagent/internal/staging"
)

// Progress is told how far an installation is; percent is 0 to 100. It is
// called from the goroutine that called Install, at most once in
// ProgressInterval. While it blocks, later progress replaces earlier.
type Progress func(percent int, message string)

// InstallOptions binds an installation.
type InstallOptions struct {
	// ManifestHash, in hex, is the SHA-256 of the only manifest that may be
	// installed; empty does not bind. An installer that cannot promise it
	// fails with ErrCannotBind and has done nothing.
	ManifestHash string
	// Hold, unless nil, is called when all is prepared and nothing but the
	// handing over is left. Its error is Install's, and nothing was started.
	// Only an installer of which something is Known calls it.
	Hold func() error
}

// Backend is one way to install images. Its methods may be called from
// several goroutines, but only one Install at a time makes sense.
type Backend interface {
	// Name is a word for logs: "rauc", "command" or "none".
	Name() string
	// System tells compatible and slots as they are now. The zero System
	// means that the backend has no slots to tell about. ErrBusy while an
	// installation runs.
	System(ctx context.Context) (System, error)
	// Inspect reads the manifest of the bundle at path with the installer's
	// own eyes and trust. Only for paths whose content stays as it is.
	Inspect(ctx context.Context, path string) (Info, error)
	// BindsManifest reports whether InstallOptions.ManifestHash is honoured.
	BindsManifest(ctx context.Context) bool
	// Prepare asks at leisure for what an image would have to wait for. It
	// starts no service, and what it cannot learn is asked for when it is needed.
	Prepare(ctx context.Context)
	// Known returns what System would say now, without asking, where Prepare has
	// asked and what the answer depends on is still the same, and where the
	// running system was confirmed good before, so that WaitReady will hardly
	// wait. It does not tell whether an installation runs; one that has ended, or
	// has begun to write, makes it unknown.
	Known() (System, bool)
	// WaitReady returns when the running system has proven itself good and no
	// installation runs, with the slots as they are then; ErrNotReady after
	// ReadyTimeout. seen, unless nil, is what System said less than SeenFor
	// ago: it is not asked again where nothing has to be waited for.
	WaitReady(ctx context.Context, seen *System) (System, error)
	// WaitIdle returns when no installation runs, with the slots as they are
	// then, and ErrBusy after BusyTimeout.
	WaitIdle(ctx context.Context) (System, error)
	// Install installs the bundle at path and returns when that has ended.
	// ErrBusy: nothing was started. ErrUnclear: it cannot be said whether it
	// ended well, and only the slots can tell. When ctx ends, Install returns
	// and RAUC goes on.
	Install(ctx context.Context, path string, o InstallOptions, progress Progress) error
	// Running reports whether an installation runs, whoever started it.
	Running(ctx context.Context) (bool, error)
	// Adopt waits like Install for an installation that runs already. It
	// returns ErrNotRunning where none does.
	Adopt(ctx context.Context, progress Progress) error
}

// Errors that a caller branches on; each is wrapped by what the methods return.
var (
	// ErrBusy means that another installation runs and none was started.
	ErrBusy = errors.New("the installer is busy with another installation (plug the stick in anew when that is done)")
	// ErrUnclear means that an installation was started and its end was not
	// seen: look at the slots.
	ErrUnclear = errors.New("the end of the installation was not seen")
	// ErrNotReady means that the running system was not confirmed good in time.
	ErrNotReady = errors.New("the running system is not confirmed good (wait until the boot has finished, then plug the stick in anew)")
	// ErrNotRunning means that there is no installation to adopt.
	ErrNotRunning = errors.New("no installation is running")
	// ErrCannotBind means that this installer cannot be bound to a manifest.
	ErrCannotBind = errors.New("this installer cannot be bound to the manifest's hash")
	// ErrDistrusted means that RAUC's name on the bus is not root's.
	ErrDistrusted = errors.New("the installer's D-Bus name does not belong to root")
	// ErrUnavailable means that nothing offers to install.
	ErrUnavailable = errors.New("no installer is available")
	// ErrStalled means that a device or the installer gave no sign of life
	// for a named time.
	ErrStalled = staging.ErrStalled
	// ErrNotConfirmed means that the slots do not show what was installed.
	ErrNotConfirmed = errors.New("the slots do not confirm the installation")
)

// None is the backend that installs nothing.
type None struct{}

// errNone is what None answers to everything that would do something.
var errNone = errors.Join(ErrUnavailable, errors.New(`installer.backend is "none"`))

func (None) Name() string                                  { return "none" }
func (None) System(context.Context) (System, error)        { return System{}, nil }
func (None) Inspect(context.Context, string) (Info, error) { return Info{}, errNone }
func (None) BindsManifest(context.Context) bool            { return false }
func (None) Prepare(context.Context)                       {}
func (None) Known() (System, bool)                         { return System{}, false }
func (None) WaitIdle(context.Context) (System, error)      { return System{}, nil }
func (None) Running(context.Context) (bool, error)         { return false, nil }
func (None) Adopt(context.Context, Progress) error         { return ErrNotRunning }

func (None) WaitReady(context.Context, *System) (System, error) { return System{}, nil }

func (None) Install(context.Context, string, InstallOptions, Progress) error { return errNone }
