// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Command demo shows the main job in a terminal ("make demo"): a stick brings
// a new keyring, a script and an image to a board, comes a second time, and
// comes with a tampered script.
//
// The agent is the real one, and so are RAUC, the signatures, the file system
// and its mount. The stick is a loop device, the LED a directory of plain
// files, the slots are files, and the reboot is only asked for. Everything lies
// in build/demo; what is made outside of it (mounts, loop devices, processes)
// is undone however this program ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"usbagent/internal/durable"
)

func main() {
	// The agent is told to end when the thread that started it does.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := show(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// show is the whole demonstration, cleaned up when it returns.
func show(ctx context.Context) error {
	began := time.Now()
	if os.Geteuid() != 0 {
		return errors.New("mounting needs root: run it as root or with sudo")
	}
	program, err := filepath.Abs("build/usbagent")
	if err != nil {
		return err
	}
	dir, remove, err := place("build/demo")
	if err != nil {
		return err
	}
	defer remove()
	s := &story{screen: newScreen(), dir: dir, program: program}
	defer s.cleanUp()
	for _, chapter := range []func(context.Context) error{
		s.owners, s.factory, s.makeStick, s.firstPlug, s.reboot, s.secondPlug, s.tampered,
	} {
		if err := chapter(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	s.cleanUp()
	if err := leftovers(ctx, dir); err != nil {
		return err
	}
	s.title(fmt.Sprintf("Done in %.0f seconds", time.Since(began).Seconds()))
	s.say("No mount, loop device or process is left. Logs and files: %s", dir)
	return nil
}

// place makes an empty directory at path for everything the demonstration
// writes. The agent refuses, rightly, to keep its records where somebody else
// than root could change them; where that is so, path becomes a link to a
// directory below /tmp, which remove deletes.
func place(path string) (dir string, remove func(), err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	sweep(context.Background(), path)
	if err := os.RemoveAll(path); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil { // as the kernel shows it
		return "", nil, err
	}
	if err := durable.CheckDir(path); err == nil {
		return path, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "usbagent-demo-")
	if err != nil {
		return "", nil, err
	}
	link := filepath.Join(path, "board")
	return dir, func() { os.Remove(link); os.RemoveAll(dir) }, os.Symlink(dir, link)
}
