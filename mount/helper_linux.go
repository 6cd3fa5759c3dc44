// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/internal/systembus"
)

const (
	// HelperGrace is how long a ntfs-3g has to end when its mount is taken
	// away, before it is killed, and then to be gone.
	HelperGrace = 2 * time.Second

	// ScopeTimeout bounds the wait for systemd to make a scope: on a board that
	// boots it has other things to do.
	ScopeTimeout = 20 * time.Second
)

// helper is the ntfs-3g process that serves a mount; the zero value is none.
type helper struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot, so that a reused PID is another process
}

// startTime is the field of /proc/PID/stat that, with the PID, names a process
// for ever (proc_pid_stat(5), field 22).
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := bytes.Cut(stat, []byte(") ")) // a name may hold spaces; ours does not hold this
	fields := strings.Fields(string(after))
	if len(fields) < 20 {
		return 0, errors.New("too few fields")
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// open returns a pidfd of the process; an error where it is gone.
func (h helper) open() (int, error) {
	if h.PID <= 0 {
		return -1, unix.ESRCH
	}
	fd, err := unix.PidfdOpen(h.PID, 0)
	if err != nil {
		return -1, err
	}
	if start, err := startTime(h.PID); err != nil || start != h.Start {
		unix.Close(fd)
		return -1, unix.ESRCH
	}
	return fd, nil
}

func (h helper) alive() bool {
	fd, err := h.open()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return !exits(fd, 0)
}

// exits waits for the process to end.
func exits(fd int, within time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(within); ; {
		n, err := unix.Poll(fds, max(0, int(time.Until(deadline).Milliseconds())))
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}

// kill ends the process at once, so that an unmount that waits for its answer
// goes on.
func (h helper) kill() {
	if fd, err := h.open(); err == nil {
		unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		unix.Close(fd)
	}
}

// end waits for the process, which ends by itself once its mount is gone, and
// kills it where it does not.
func (h helper) end() error {
	fd, err := h.open()
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	if exits(fd, HelperGrace) {
		return nil
	}
	unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	if !exits(fd, HelperGrace) {
		return fmt.Errorf("ntfs-3g (process %d) does not end: the device hangs", h.PID)
	}
	return nil
}

// ownScope moves the process into a scope of its own where systemd runs: in
// the agent's cgroup it would die with the agent, and the mount with it. Where
// systemd does not do it, the process stays where it is: mounted until the
// agent stops is better than not mounted.
func ownScope(ctx context.Context, pid int) error {
	if info, err := os.Stat("/run/systemd/system"); err != nil || !info.IsDir() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ScopeTimeout)
	defer cancel()
	address, _ := systembus.Address()
	bus, err := systembus.Dial(ctx, address, systembus.Options{})
	if err != nil {
		return fmt.Errorf("system bus: %w", err)
	}
	defer bus.Close()
	return startScope(ctx, bus, pid)
}

// scopeName is the unit of the ntfs-3g process pid.
func scopeName(pid int) string { return fmt.Sprintf("usbagent-ntfs-3g-%d.scope", pid) }

// startScope asks systemd for the scope and waits until the process is in it.
func startScope(ctx context.Context, bus *systembus.Conn, pid int) error {
	name := scopeName(pid)
	property := func(name string, value any) systembus.Struct {
		return systembus.Struct{name, systembus.Variant{Value: value}}
	}
	properties := systembus.Array{Element: "(sv)", Values: []any{
		property("Description", "ntfs-3g of a USB stick"),
		property("PIDs", []uint32{uint32(pid)}),
		property("CollectMode", "inactive-or-failed"),
		property("MemoryMax", uint64(MaxHelperMemory)),
		property("TasksMax", uint64(64)), // Go's threads until exec
	}}
	var job systembus.ObjectPath
	if err := bus.Call(ctx, &systembus.Call{
		Object: systembus.Object{Name: "org.freedesktop.systemd1", Path: "/org/freedesktop/systemd1"},
		Method: "org.freedesktop.systemd1.Manager.StartTransientUnit",
		Args:   []any{name, "fail", properties, systembus.Array{Element: "(sa(sv))"}}, // no auxiliary units
	}, &job); err != nil {
		return fmt.Errorf("scope %s: %w", name, err)
	}
	for {
		cgroup, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err != nil || strings.Contains(string(cgroup), name) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("scope %s: %w", name, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
