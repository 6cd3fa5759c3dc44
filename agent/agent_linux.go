// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"usbagent/executedlist"
	"usbagent/internal/logs"
	"usbagent/keyring"
	"usbagent/led"
	"usbagent/mount"
	"usbagent/netlink"
)

// Agent is the daemon. One goroutine owns the devices, one works through the
// effects; what both and the readers of status.json see is guarded by mu.
type Agent struct {
	Options
	rules    Rules
	store    *keyring.Store
	list     *executedlist.List
	mounter  *mount.Mounter
	scripted bool      // the effects have started a script
	reused   leftovers // guarded by mu

	mu        sync.Mutex
	sticks    []*stick // plugged in, order of arrival
	welcome   []string // disks that the LED is on for before they were looked at
	inserted  bool     // since there was nothing to do
	arrivals  uint64
	wake      chan struct{} // a stick became ready, or was pulled
	opened    chan string   // disks that were opened to look for a medium
	done      chan struct{} // closed when the loop has ended
	settled   chan struct{} // closed when it is known what became of the last installation
	adopted   chan struct{} // closed when nothing of an earlier run is left to wait for
	concluded chan struct{} // the work on a stick has ended
	running   *stick        // whose script runs
	busy      string        // what the effects are at, for those who wait
	busyWith  *stick
	leaving   bool      // the agent stops and running goes on
	scripts   *budget   // memory of scripts that were read and wait
	hung      int       // devices abandoned and not yet returned
	progress  *Progress // of an installation
	rebooting bool
	left      bool   // Run has ended
	outcome   string // ID of the image whose fate was learned in this boot

	detaching sync.WaitGroup
	releasing sync.WaitGroup // of the last script; the one worker alone begins and awaits it
	hasten    func()         // has it begin at once; the worker's, nil for none
	status    *statusFile
}

// New makes an agent; nothing is touched before Run or Process.
func New(o Options) *Agent {
	rules := NewRules(o.Config, o.Version)
	o.Board.configure(o.Config.Board)
	rules.Model, rules.Serial = o.Board.model, o.Board.serialNumber(o.Config.Board.SerialCommand)
	return &Agent{
		Options:   o,
		rules:     rules,
		store:     keyring.Open(o.Config.Keyring.Path),
		list:      executedlist.Open(o.Config.Autorun.ExecutedList, o.Config.Autorun.AllowVolatileList),
		wake:      make(chan struct{}, 1),
		adopted:   make(chan struct{}),
		concluded: make(chan struct{}, 1),
		settled:   make(chan struct{}),
		opened:    make(chan string),
		done:      make(chan struct{}),
		scripts:   newBudget(2 * max(o.Config.Autorun.MaxSize, minScriptBudget)),
		status:    newStatusFile(o.Config.Status.Path),
	}
}

// Run is the daemon. It blocks until ctx ends and then returns nil within a
// few seconds: the mounts are undone but for one that a running script uses,
// and the LED is left for the caller to switch off. It returns an error only
// where it could not start.
func (a *Agent) Run(ctx context.Context) error {
	a.lookAround()
	source, err := netlink.Listen(a.uevents())
	if err != nil {
		return err
	}
	if err := a.openMounter(); err != nil {
		source.Close()
		return err
	}
	a.start()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	hints := make(chan netlink.Hint)
	workers.Go(func() { a.listen(ctx, source, hints) })
	workers.Go(func() { a.work(ctx) })
	workers.Go(func() { a.status.follow(ctx, a.Log) })
	workers.Go(func() { a.settleImages(ctx) })
	workers.Go(func() { a.prepareNext(ctx) })
	workers.Go(func() { warm(ctx) })
	a.loop(ctx, hints)
	close(a.done)
	cancel()
	a.stop(&workers)
	a.Scripts.Close()
	a.takeLeave()
	return nil
}

// takeLeave says in status.json that the agent runs no longer.
func (a *Agent) takeLeave() {
	a.mu.Lock()
	a.left = true
	a.mu.Unlock()
	if err := a.status.flush(); err != nil {
		a.Log.Error("status cannot be shown", logs.Error(err))
	}
}

// start mends what an earlier tool or run left and tells the world.
func (a *Agent) start() {
	a.mendKeyring()
	a.compareKeyring()
	a.Light.Show(led.Pattern{Kind: led.Off})
	a.publish()
	if a.Ready != nil {
		a.Ready()
	}
}

func (a *Agent) openMounter() error {
	c := a.Config.Mount
	m, err := mount.New(mount.Options{
		Root: a.mountRoot(), Fmask: c.Fmask, Dmask: c.Dmask, Filesystems: c.Filesystems, RunDir: a.RunDir,
	})
	if err != nil {
		return err
	}
	a.mounter = m
	reused, err := m.Recover(a.stillThere)
	if err != nil {
		a.Log.Warn("mounts of an earlier run could not all be cleaned up", logs.Error(err))
	}
	a.reused = reused
	for _, x := range reused {
		a.Log.Info("mount of an earlier run taken over", logs.String("device", x.Device.Name), logs.String("mountpoint", Show(x.Target)))
	}
	return nil
}

// listen passes the hints of the kernel on, and begins anew where the socket fails.
func (a *Agent) listen(ctx context.Context, source *netlink.Source, hints chan<- netlink.Hint) {
	defer func() { source.Close() }()
	for {
		hint, err := source.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.Log.Error("uevents cannot be received, the socket is opened anew", logs.Error(err))
			if !sleep(ctx, relisten) {
				return
			}
			source.Close()
			if fresh, err := netlink.Listen(a.uevents()); err == nil {
				source = fresh
			}
			hint = netlink.Hint{Lost: true}
		}
		select {
		case hints <- hint:
		case <-ctx.Done():
			return
		}
	}
}

// loop owns the devices: whatever an event says, sysfs is looked at again.
func (a *Agent) loop(ctx context.Context, hints <-chan netlink.Hint) {
	var alive <-chan time.Time
	if a.Alive != nil && a.AliveEvery > 0 {
		ticker := time.NewTicker(a.AliveEvery)
		defer ticker.Stop()
		alive = ticker.C
	}
	a.scan()
	a.dropLeftovers()
	for {
		select {
		case <-ctx.Done():
			return
		case <-alive:
			a.Alive()
		case hint := <-hints:
			if hint.Lost {
				a.Log.Warn("uevents were lost, looking at all devices again")
				a.scan()
				a.dismissAll()
				continue
			}
			for _, name := range hint.Disks {
				a.refresh(name, true, hint.Announced[name])
			}
		case name := <-a.opened:
			a.refresh(name, false, 0)
		}
	}
}

// scan compares all disks with what is known.
func (a *Agent) scan() {
	disks, err := netlink.Scan("", a.Config.Devices.Allow)
	if err != nil { // of single disks; the others are there
		a.Log.Error("not all block devices could be looked at", logs.Error(err))
	}
	there := make(map[string]bool)
	for _, d := range disks {
		there[d.Name] = true
		a.see(d, true, 0)
	}
	for _, s := range a.plugged() {
		if !there[s.disk.Name] {
			a.refresh(s.disk.Name, false, 0)
		}
	}
}

// dropLeftovers undoes the mounts of an earlier run that the first scan found
// no disk for: it was pulled since they were taken over.
func (a *Agent) dropLeftovers() {
	a.mu.Lock()
	gone := a.reused
	a.reused = nil
	a.mu.Unlock()
	for _, m := range gone {
		a.Log.Info("stick of an earlier run was pulled meanwhile", logs.String("device", m.Device.Name))
	}
	a.undo(a.Log, gone)
}

// refresh compares one disk with what is known. look is whether a disk that
// seems to have no medium is opened to make sure; announced is the DISKSEQ
// that the kernel announced it with, if it has just done that.
func (a *Agent) refresh(name string, look bool, announced uint64) {
	early := a.greeted(name)
	if early {
		defer a.dismiss(name)
	}
	for _, s := range a.plugged() {
		if s.disk.Name == name && netlink.Unchanged("", s.disk) {
			return
		}
	}
	if !early && a.greet(name, false, func() bool { return netlink.Glance("", name) }) {
		defer a.dismiss(name)
	}
	disk, present, err := netlink.Refresh("", name, a.Config.Devices.Allow)
	if err != nil {
		a.Log.Warn("block device cannot be looked at", logs.String("device", name), logs.Error(err))
	}
	if present && err == nil {
		a.see(disk, look, announced)
		return
	}
	for _, s := range a.plugged() {
		if s.disk.Name == name {
			a.remove(s)
		}
	}
}

// see takes note of a disk that is there. The same device number and DISKSEQ
// is the same insertion, whatever the kernel or udevadm repeats.
func (a *Agent) see(disk netlink.Disk, look bool, announced uint64) {
	if disk.Bus == netlink.BusLoop && !strings.HasPrefix(disk.LoopFile, a.LoopFiles) {
		return
	}
	for _, s := range a.plugged() {
		if s.disk.Name != disk.Name {
			continue
		}
		if s.same(disk) {
			return
		}
		a.remove(s)
	}
	switch {
	case disk.Size > 0:
		a.insert(disk, announced)
	default:
		a.enablePolling(disk)
		if look {
			go a.lookForMedium(disk)
		}
	}
}

// enablePolling lets the kernel look for other media in the same reader.
func (a *Agent) enablePolling(disk netlink.Disk) {
	if err := netlink.EnablePolling("", disk); err != nil {
		a.Log.Warn("a medium inserted later may not be noticed", logs.String("device", disk.Name), logs.Error(err))
	}
}

// lookForMedium opens a disk, without which the kernel does not learn the
// size and the partitions of a medium that was inserted later.
func (a *Agent) lookForMedium(disk netlink.Disk) {
	f, err := os.Open(disk.Node())
	if err != nil {
		return // a reader without a medium is no stick
	}
	f.Close()
	select {
	case a.opened <- disk.Name:
	case <-a.done:
	}
}

// stop ends the workers and undoes the mounts, as far as StopTimeout allows.
func (a *Agent) stop(workers *sync.WaitGroup) {
	ended := make(chan struct{})
	go func() { workers.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(StopTimeout):
		a.Log.Warn("something does not answer and is left behind")
	}
	undone := make(chan struct{})
	go func() {
		for _, s := range a.plugged() {
			a.mu.Lock()
			keep := s == a.running
			a.mu.Unlock()
			s.cancel(errStopped)
			if !keep {
				a.detach(s)
			}
		}
		a.detaching.Wait()
		close(undone)
	}()
	select {
	case <-undone:
	case <-time.After(StopTimeout / 2):
		a.Log.Warn("not everything could be unmounted in time")
	}
}

var (
	errStopped = errors.New("the agent was stopped")
	errPulled  = errors.New("the stick was pulled")
)

// Restarting reports whether the board was asked to restart into a new system:
// the LED then stays on.
func (a *Agent) Restarting() bool { return a.restarting() }

// plugged returns the sticks that are in, in order of arrival.
func (a *Agent) plugged() []*stick {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*stick(nil), a.sticks...)
}

// sleep waits and reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// describe names a stick in messages.
func (s *stick) describe() string {
	if s.entry.Label == "" {
		return s.disk.Name
	}
	return fmt.Sprintf("%s (%s)", s.disk.Name, Show(s.entry.Label))
}
