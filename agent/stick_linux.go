// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/internal/logs"
	"usbagent/led"
	"usbagent/ledger"
	"usbagent/mount"
	"usbagent/netlink"
)

// stick is one insertion of one USB disk with all its partitions.
type stick struct {
	disk   netlink.Disk
	order  uint64
	atBoot bool
	ctx    context.Context
	cancel context.CancelCauseFunc
	log    *logs.Logger

	// The kernel has just announced the disk, so its partitions are complete
	// and the mount can begin at once.
	complete bool
	late     func() // what else is to do when a stick is found; once, and after the first mount where that can begin at once
	held     func() // ends the hold of status.json, which takes its time from what comes before the script; nil where there is none

	// What the preparing goroutine finds; the effects read it once ready is set.
	volumes []*volume
	offers  []*offer // keyring pairs, then script pairs, each in partition order

	// What is yet to be put into the ledger, and what neither the keyring nor the
	// script has to wait for: that the stick is there, and changes of the keyring.
	// An agent that starts and misses one of these says that the keyring differs
	// from the record.
	unwritten records

	// What the effects keep for the receipt.
	keyring []string     // fingerprints before
	output  []Output     // of its scripts
	earlier ledger.Image // an image of it that was handed over before this boot
	enquiry *enquiry     // what others were asked for its images; the effects' own
	images  bool         // there was one

	// Guarded by Agent.mu.
	mounts     []*mount.Mount
	reused     []*mount.Mount // of an earlier run, not yet among mounts
	entry      ledger.Stick
	light      led.Stick
	ready      bool
	taken      bool // the effects have begun
	prepared   bool // ready, or never going to be
	gone       bool
	remembered bool // handled before in this boot
}

// records are what is to be written into the ledger a little later.
type records struct {
	mu   sync.Mutex
	list []func()
}

func (r *records) add(record func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, record)
}

// write writes them, and returns when all are written.
func (r *records) write() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, record := range r.list {
		record()
	}
	r.list = nil
}

// same reports whether disk is still the insertion s.
func (s *stick) same(disk netlink.Disk) bool {
	return s.disk.Major == disk.Major && s.disk.Minor == disk.Minor &&
		s.disk.DiskSeq == disk.DiskSeq && s.disk.Size == disk.Size
}

// drop lets go of all that was read and opened. Only the goroutine whose turn
// it is may call it: the preparing one until ready, then the effects, or the
// owner of the devices for a stick that was pulled in between.
func (s *stick) drop() {
	for _, o := range s.offers {
		o.drop()
	}
	for _, v := range s.volumes {
		v.Close()
	}
	s.offers, s.volumes = nil, nil
}

// unhold has status.json written again.
func (s *stick) unhold() {
	if s.held != nil {
		s.held()
	}
}

// insert begins with a new stick: the LED first, then all that may block.
func (a *Agent) insert(disk netlink.Disk, announced uint64) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &stick{disk: disk, atBoot: a.AtBoot || sinceBoot() < BootWindow, ctx: ctx, cancel: cancel}
	s.log = a.Log.With(logs.String("device", disk.Name))
	s.entry = ledger.Stick{BootID: a.BootID, DiskSeq: disk.DiskSeq, Device: disk.Name, Started: time.Now()}
	s.complete = complete(disk, announced)
	if s.complete {
		s.held = a.status.hold()
	}
	s.late = sync.OnceFunc(func() { a.tellFound(s); a.enablePolling(disk) })
	s.light.Working = true
	a.recall(s)

	a.mu.Lock()
	s.reused, a.reused = a.reused.of(disk)
	a.arrivals++
	s.order, s.light.Order = a.arrivals, a.arrivals
	a.sticks = append(a.sticks, s)
	a.inserted = true
	a.mu.Unlock()
	a.publish()
	if s.complete {
		time.AfterFunc(StatusHold, func() { s.late(); s.unhold() }) // the device may never answer
	} else {
		s.late()
	}
	go a.prepare(s)
}

// complete reports whether the partitions of disk are all that there are: they
// are of the medium that the kernel announced with the DISKSEQ announced. A disk
// without any may have a table that the kernel could not read at the time.
func complete(disk netlink.Disk, announced uint64) bool {
	return announced != 0 && announced == disk.DiskSeq && len(disk.Partitions) > 0
}

func (a *Agent) tellFound(s *stick) {
	s.log.Info("stick found", logs.String("vendor", Show(s.disk.Vendor)), logs.String("model", Show(s.disk.Model)),
		logs.String("size", Bytes(s.disk.Size)), logs.Uint64("diskseq", s.disk.DiskSeq), logs.Bool("at_boot", s.atBoot))
}

// recall takes over what the ledger knows of a stick that has stayed in since
// an earlier run of the agent in this boot: the result where it was finished,
// else whether it was there at boot.
func (a *Agent) recall(s *stick) {
	entry, ok := a.Ledger.Seen(s.disk.DiskSeq, s.disk.Name)
	switch {
	case !ok:
	case entry.Finished.IsZero():
		s.atBoot = entry.AtBoot
	default:
		s.entry, s.remembered = entry, true
		s.light.Working, s.light.Code = false, entry.Code
	}
	s.entry.AtBoot = s.atBoot
}

// remove is called when a stick has gone, whatever is going on with it.
func (a *Agent) remove(s *stick) {
	s.late()
	a.forget(s)
	a.mu.Lock()
	waiting := s.ready && !s.taken
	a.mu.Unlock()
	s.log.Info("stick pulled")
	if waiting {
		s.drop()
		a.finish(s)
	}
	a.detach(s)
	a.nudge()
}

// detach undoes the mounts of s without waiting for a device that is gone.
func (a *Agent) detach(s *stick) {
	a.mu.Lock()
	mounts := append(s.mounts, s.reused...)
	s.mounts, s.reused = nil, nil
	a.mu.Unlock()
	a.undo(s.log, mounts)
}

// undo detaches mounts in the background; stop waits for it.
func (a *Agent) undo(log *logs.Logger, mounts []*mount.Mount) {
	for _, m := range mounts {
		a.detaching.Go(func() {
			if err := m.Detach(); err != nil {
				log.Error("mount could not be undone", logs.String("mountpoint", Show(m.Target)), logs.Error(err))
			}
		})
	}
}

// sinceBoot is the time since the kernel started (CLOCK_BOOTTIME), which no
// wrong clock changes.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return BootWindow
	}
	return time.Duration(ts.Nano())
}

// within is ctx that ends when s is pulled, too. The caller calls cancel.
func (s *stick) within(ctx context.Context) (c context.Context, cancel func()) {
	c, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { end(context.Cause(s.ctx)) })
	return c, func() { stop(); end(nil) }
}
