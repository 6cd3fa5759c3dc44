// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/internal/logs"
	"usbagent/ledger"
	"usbagent/mount"
	"usbagent/netlink"
)

// prepare mounts and reads a stick. It may hang as long as the device does;
// nothing waits for it.
func (a *Agent) prepare(s *stick) {
	debug.SetGCPercent(stickGCPercent) // until there is nothing to do
	err := a.examine(s)
	s.late()
	awaitPull(s.ctx, err)
	switch {
	case errors.Is(err, unix.ENOMEDIUM):
		s.log.Info("the medium was taken out")
		a.forget(s)
	case errors.Is(context.Cause(s.ctx), errPulled):
		a.finish(s)
	case s.ctx.Err() != nil: // the agent stops; the next one begins anew with the stick
	case s.remembered:
		s.log.Info("stick was handled before in this boot, nothing is done again")
	case errors.Is(err, mount.ErrMounted): // somebody else's business: left alone
		a.report(s, ledger.Step{Step: StepMount, Device: s.disk.Name, Result: Skipped, Reason: err.Error()}, 0)
		a.finish(s)
	case err != nil:
		a.report(s, ledger.Step{Step: StepMount, Device: s.disk.Name, Result: Failed, Reason: err.Error()}, CodeUnreadable)
		a.finish(s)
	}
	a.mu.Lock()
	s.prepared, s.ready = true, err == nil && !s.remembered && !s.gone
	if !s.ready {
		s.drop()
	}
	a.mu.Unlock()
	a.nudge()
}

// awaitPull waits a moment for the end of ctx where err is what a device answers
// that is just being pulled: the kernel lets it fail before it says so.
func awaitPull(ctx context.Context, err error) {
	for _, leaving := range []error{errPulled, unix.ENXIO, unix.ENODEV, unix.EIO} {
		if errors.Is(err, leaving) {
			sleep(ctx, PullNotice)
			return
		}
	}
}

// forget takes s out of the sticks that are in.
func (a *Agent) forget(s *stick) {
	a.mu.Lock()
	a.sticks = slices.DeleteFunc(a.sticks, func(x *stick) bool { return x == s })
	s.gone = true
	a.mu.Unlock()
	s.cancel(errPulled)
	a.publish()
}

// examine mounts every file system of s and reads the pairs on them.
func (a *Agent) examine(s *stick) error {
	if err := a.admit(s); err != nil {
		return err
	}
	a.awaitDetached()
	if err := a.mountAll(s); err != nil {
		return err
	}
	if s.remembered {
		return nil
	}
	if s.atBoot { // a daemon that is started anew later must know that
		a.noteStick(s)
	}
	select { // an earlier script may still have its bytes over a name of ours
	case <-a.adopted:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	a.greetBus(s)
	if err := a.read(s); err != nil {
		return err
	}
	if !s.atBoot { // not before the reading: the kernel would have one worker for both media
		s.unwritten.add(func() { a.noteStick(s) })
	}
	return nil
}

// noteStick puts into the ledger that s is there.
func (a *Agent) noteStick(s *stick) {
	a.mu.Lock()
	entry := s.entry
	a.mu.Unlock()
	a.record(a.Ledger.PutStick(entry))
}

// mountAll mounts what can be mounted of s; it is an error where nothing can.
func (a *Agent) mountAll(s *stick) error {
	devices, err := a.devices(s)
	if err != nil {
		return err
	}
	failures := make(map[string]error)
	var first error
	for _, d := range devices {
		err := a.mountOne(s, d)
		switch {
		case s.ctx.Err() != nil:
			return context.Cause(s.ctx)
		case errors.Is(err, unix.ENOMEDIUM):
			return err
		case s.complete && len(s.volumes) == 0 && errors.Is(err, errAbandoned):
			return err // the others would not answer either
		case s.complete && len(s.volumes) == 0 && err != nil:
			s.complete = false // once more, with a look at the disk: its partitions may be others by now
			return a.mountAll(s)
		case err != nil:
			s.log.Warn("not mounted", logs.String("partition", d.Name), logs.Error(err))
			failures[d.Name] = err
			if first == nil {
				first = err
			}
		}
	}
	if len(failures) == len(devices) {
		return first
	}
	for _, d := range devices {
		if err := failures[d.Name]; err != nil && !s.remembered { // no failure beside one that can be read
			a.report(s, ledger.Step{Step: StepMount, Device: d.Name, Result: Skipped, Reason: err.Error()}, 0)
		}
	}
	return nil
}

// admit refuses what must not be touched.
func (a *Agent) admit(s *stick) error {
	a.mu.Lock()
	hung := a.hung
	a.mu.Unlock()
	if hung >= MaxAbandoned {
		return fmt.Errorf("%d devices do not answer, no further one is tried: pull them", hung)
	}
	if !a.Config.Devices.StorageOnly {
		return nil
	}
	return a.abandonable(s, MountTimeout, func(func()) error {
		declared, err := netlink.Declared(a.Root, s.disk)
		if err != nil {
			return err
		}
		return storageOnly(append(declared, s.disk.Interfaces...))
	})
}

// awaitDetached lets the mounts of a pulled stick go first, for a while.
func (a *Agent) awaitDetached() {
	done := make(chan struct{})
	go func() { a.detaching.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(DetachWait):
	}
}

// devices returns what of s can be mounted: its partitions in number order,
// or the whole disk where it has none. Where the partitions are known already
// the disk is not opened: udev does that at the same time, and one waits for
// the other.
func (a *Agent) devices(s *stick) ([]mount.Device, error) {
	if s.complete {
		return partitionDevices(s.disk), nil
	}
	var list []mount.Device
	err := a.abandonable(s, MountTimeout, func(func()) error {
		settled, err := a.settle(s)
		list = settled
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// settle opens the disk, which makes the kernel read its partition table
// where that is still to be done, and looks which partitions there are.
func (a *Agent) settle(s *stick) ([]mount.Device, error) {
	table, err := partitioned(s.disk)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(PartitionWait); ; {
		disk, present, err := netlink.Refresh("", s.disk.Name, a.Config.Devices.Allow)
		if err != nil {
			return nil, err
		}
		if !present || !s.same(disk) {
			return nil, errPulled
		}
		if len(disk.Partitions) > 0 {
			return partitionDevices(disk), nil
		}
		if !table || time.Now().After(end) {
			return []mount.Device{wholeDevice(disk)}, nil
		}
		if !sleep(s.ctx, 50*time.Millisecond) {
			return nil, context.Cause(s.ctx)
		}
	}
}

// mountOne mounts one partition, or takes over the mount of an earlier run.
func (a *Agent) mountOne(s *stick, d mount.Device) error {
	m := a.takeReused(s, d)
	if m == nil {
		err := a.abandonable(s, MountTimeout, func(func()) error {
			made, err := a.mounter.Mount(s.ctx, d)
			if err == nil && !a.keep(s, made) {
				return made.Detach() // it came too late
			}
			m = made
			return err
		})
		if err != nil {
			s.late()
			return err
		}
	} else if !a.keep(s, m) {
		return m.Detach()
	} else if err := a.abandonable(s, MountTimeout, func(func()) error { return m.Protect() }); err != nil {
		s.log.Warn("the stick may be left writable", logs.Error(err))
	}
	dir, err := duplicate(m.Root())
	if err != nil {
		s.late()
		return err
	}
	v := &volume{directory: dir, device: d.Name, target: m.Target, fold: m.FoldCase}
	if !s.remembered {
		a.lookAhead(s, v)
	}
	s.late()
	for _, text := range m.Warnings {
		s.log.Warn("mounted with a warning", logs.String("partition", d.Name), logs.String("warning", text))
	}
	a.change(s, func() {
		s.volumes = append(s.volumes, v)
		if s.entry.Mountpoint == "" {
			s.entry.Label, s.entry.Filesystem, s.entry.Mountpoint = Show(m.Label), m.Type, Show(m.Target)
		}
	})
	if !s.remembered {
		a.report(s, ledger.Step{Step: StepMount, Device: d.Name, Result: Done,
			Reason: fmt.Sprintf("%s mounted read-only on %s", m.Type, Show(m.Target))}, 0)
	}
	return nil
}

// keep makes m a mount of s, unless s has gone meanwhile.
func (a *Agent) keep(s *stick, m *mount.Mount) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.gone || s.ctx.Err() != nil {
		return false
	}
	s.mounts = append(s.mounts, m)
	return true
}

// takeReused returns the mount of d that an earlier run left, if there is one.
func (a *Agent) takeReused(s *stick, d mount.Device) *mount.Mount {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, m := range s.reused {
		if m.Device.Name == d.Name {
			s.reused = slices.Delete(s.reused, i, i+1)
			return m
		}
	}
	return nil
}

// abandonable is the function of the same name, with the devices that hang counted.
func (a *Agent) abandonable(s *stick, limit time.Duration, work func(progress func()) error) error {
	returned := false
	err := abandonable(s.ctx, limit, limit, func(progress func()) error {
		defer func() {
			a.mu.Lock()
			if returned {
				a.hung--
			}
			returned = true
			a.mu.Unlock()
		}()
		return work(progress)
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if !returned {
		returned = true
		a.hung++
	}
	return err
}
