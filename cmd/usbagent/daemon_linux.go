// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/agent"
	"usbagent/autorun"
	"usbagent/config"
	"usbagent/installer"
	"usbagent/internal/logs"
	"usbagent/led"
	"usbagent/ledger"
	"usbagent/mount"
)

// lockName is the file below the run directory that the one daemon of the
// machine locks.
const lockName = "lock"

// The state directory's places: the data partition, which both systems of the
// board see, and what takes its place where there is none.
const (
	stateOnData = "/srv/usbagent"
	stateOnRoot = "/var/lib/usbagent"
)

// ledTimeout bounds the switching off of the LED at the end.
const ledTimeout = time.Second

// hidden runs the subcommands that only the daemon itself starts.
func hidden(args []string) (int, bool) {
	if len(args) == 0 {
		return 0, false
	}
	switch args[0] {
	case "run":
		coarseTimers()
	case autorun.SupervisorCommand:
		coarseTimers()
		return autorun.SupervisorMain(args[1:]), true
	case "confined-ntfs-3g":
		return mount.ConfinedMain(args[1:]), true
	}
	return 0, false
}

// runDaemon runs the daemon until SIGTERM or SIGINT; SIGHUP starts it anew
// with the configuration as it is then.
func runDaemon(path string, bench benchFlags) error {
	debug.SetGCPercent(agent.IdleGCPercent)
	// A thread in a system call keeps its right to run Go code for a while, and
	// one that is to take it over has to wait for the processor. With a second
	// such right, who comes back from the kernel goes on at once.
	runtime.GOMAXPROCS(max(runtime.NumCPU(), 2))
	if err := os.MkdirAll(bench.RunDir, 0o755); err != nil {
		return fmt.Errorf("make run directory: %w", err)
	}
	lock, err := lockMachine(filepath.Join(bench.RunDir, lockName))
	if err != nil {
		return err
	}
	defer lock.Close()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	for {
		again, err := runOnce(path, bench, signals)
		if err != nil || !again {
			return err
		}
	}
}

// runOnce runs the daemon until a signal comes, and says whether it was SIGHUP.
func runOnce(path string, bench benchFlags, signals <-chan os.Signal) (again bool, err error) {
	b, err := assemble(path, bench)
	if err != nil {
		return false, err
	}
	defer b.close()
	b.options.Ready = func() { _ = notify(stateReady) }
	if every, err := watchdog(); err == nil && every > 0 {
		b.options.AliveEvery = every / 2
		b.options.Alive = func() { _ = notify(stateAlive) }
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	sticks := agent.New(b.options)
	b.restarting = sticks.Restarting
	go func() { ended <- sticks.Run(ctx) }()
	select {
	case err := <-ended:
		return false, err
	case sig := <-signals:
		b.log.Info("stopping", logs.String("signal", sig.String()))
		if sig == syscall.SIGHUP {
			again = true
		} else {
			_ = notify(stateStopping)
		}
		cancel()
		return again, <-ended
	}
}

// processDirectory does the whole pipeline once; a refused or failed step is a "no".
func processDirectory(path, dir string, bench benchFlags) error {
	b, err := assemble(path, bench)
	if err != nil {
		return err
	}
	defer b.close()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	sticks := agent.New(b.options)
	b.restarting = sticks.Restarting
	result, err := sticks.Process(ctx, dir)
	if err != nil {
		return err
	}
	if result.Code != 0 {
		return no{fmt.Errorf("not everything was done (failure code %d)", result.Code)}
	}
	return nil
}

// board is everything a daemon works with.
type board struct {
	options agent.Options
	log     *logs.Logger
	led     *led.LED
	// restarting says whether the board restarts into a new system, where it
	// is not nil; the LED stays on then.
	restarting func() bool
}

// assemble opens what the configuration names. What is missing on a board is
// logged and done without, as far as that goes.
func assemble(path string, bench benchFlags) (*board, error) {
	c, problems := config.Load(path)
	log, err := newLogger(c.Log.Level)
	if err != nil {
		return nil, err
	}
	b := &board{log: log}
	for _, p := range problems {
		log.Error("configuration: " + p.String())
	}
	if err := os.MkdirAll(filepath.Dir(c.Status.Path), 0o755); err != nil {
		log.Error("status cannot be shown", logs.Error(err))
	}
	b.led, err = led.Open(led.Options{Backend: c.LED.Backend, Name: c.LED.Name, Chip: c.LED.Chip, Line: c.LED.Line, Pin: c.LED.Pin,
		Root: bench.Root, OnError: func(err error) { log.Warn("the LED failed", logs.Error(err)) }})
	if err != nil {
		log.Warn("no LED, the work goes on without it", logs.Error(err))
	}
	machine := installer.NewMachine(installer.MachineOptions{RebootCommand: bench.RebootCommand})
	scripts := autorun.New(bench.RunDir)
	script := log.Named(autorun.SyslogIdentifier)
	scripts.Output = func(line string) { script.Info(line) }
	stateDir := stateDirectory(c.State.Dir)
	b.options = agent.Options{
		Config: c, Problems: problems, Version: version, BootID: bootID(), Board: agent.ReadBoard(bench.Root), Log: log, AtBoot: bench.BootID != "", Light: b.led,
		StateDir: stateDir, RunDir: bench.RunDir, RAUCConf: bench.RAUCConf, LoopFiles: bench.LoopFiles, ConfigPath: path, Root: bench.Root,
		Scripts: scripts, Machine: machine, Images: backend(c.Installer, bench, machine, log),
	}
	if bench.BootID != "" {
		b.options.BootID = bench.BootID
	}
	b.options.Ledger, err = openLedger(log, stateDir, bench.RunDir, b.options.BootID)
	return b, err
}

// openLedger opens the state directory, or one that lasts until the next boot.
func openLedger(log *logs.Logger, stateDir, runDir, bootID string) (*ledger.Ledger, error) {
	l, err := ledger.Open(stateDir, bootID)
	if err != nil {
		log.Error("state directory cannot be used; what happened is forgotten at the next boot", logs.Error(err))
		if l, err = ledger.Open(filepath.Join(runDir, "state"), bootID); err != nil {
			return nil, err
		}
	}
	for _, name := range l.Damaged() {
		log.Error("a damaged file of the state directory was set aside", logs.String("file", name))
	}
	return l, nil
}

func backend(c config.Installer, bench benchFlags, m *installer.Machine, log *logs.Logger) installer.Backend {
	switch c.Backend {
	case "command":
		return installer.Command{Argv: c.Command, Output: func(line string) { log.Info("installer: " + agent.Show(line)) }}
	case "none":
		return installer.None{}
	}
	return installer.NewRAUC(installer.RAUCOptions{SystemConf: bench.RAUCConf, Machine: m})
}

// close switches the LED off, or leaves it as it is.
func (b *board) close() {
	ctx, cancel := context.WithTimeout(context.Background(), ledTimeout)
	defer cancel()
	leave := b.led.Close
	if b.restarting != nil && b.restarting() {
		leave = b.led.Leave
	}
	if err := leave(ctx); err != nil {
		b.log.Warn("the LED could not be left as it should be", logs.Error(err))
	}
}

// stateDirectory is the configured one; the default moves to the root file
// system where the data partition is not mounted.
func stateDirectory(configured string) string {
	if configured != stateOnData {
		return configured
	}
	var srv, root unix.Stat_t
	if unix.Stat(filepath.Dir(stateOnData), &srv) == nil && unix.Stat("/", &root) == nil && srv.Dev != root.Dev {
		return stateOnData
	}
	return stateOnRoot
}

// bootID names this boot of the machine (random(4)).
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fmt.Sprintf("unknown-%d", time.Now().UnixNano()) // no two boots may look like one
	}
	return strings.TrimSpace(string(id))
}

// lockWait is how long a starting daemon waits for the lock: a child of one
// that was killed may hold it for the moment between fork and exec.
const lockWait = 2 * time.Second

// lockMachine keeps a second daemon from starting. The lock goes with the
// process.
func lockMachine(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the machine: %w", err)
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(10 * time.Millisecond) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errors.New("another usbagent runs on this machine already: stop it first (systemctl stop usbagent)")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
