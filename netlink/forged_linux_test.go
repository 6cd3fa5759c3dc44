// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"usbagent/test/need"
)

const forgedName = "forged0"

// forged is a datagram as the kernel would send it.
func forged() []byte {
	return []byte("add@/devices/virtual/block/" + forgedName + "\x00ACTION=add\x00DEVPATH=/devices/virtual/block/" + forgedName +
		"\x00SUBSYSTEM=block\x00DEVNAME=" + forgedName + "\x00DEVTYPE=disk\x00SEQNUM=1\x00")
}

// port returns the netlink address of the source's socket.
func port(t *testing.T, s *Source) uint32 {
	t.Helper()
	name, err := unix.Getsockname(s.conn.Fd)
	if err != nil {
		t.Fatal(err)
	}
	return name.(*unix.SockaddrNetlink).Pid
}

// send sends a datagram from a thread of its own, as another user if uid is
// not 0. The thread ends with it.
func send(to *unix.SockaddrNetlink, msg []byte, uid int) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread's user has changed
		if uid != 0 {
			if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
				result <- e
				return
			}
		}
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
		if err != nil {
			result <- err
			return
		}
		defer unix.Close(fd)
		result <- unix.Sendto(fd, msg, 0, to)
	}()
	return <-result
}

// TestForgedEvents: what other processes send is dropped and counted, and the
// kernel's events still come.
func TestForgedEvents(t *testing.T) {
	need.Root(t)
	const nobody = 65534
	long := append(forged(), bytes.Repeat([]byte("X=y\x00"), 20_000)...)
	unicast := func(s *Source) *unix.SockaddrNetlink {
		return &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: port(t, s)}
	}
	multicast := func(*Source) *unix.SockaddrNetlink { return &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1} }
	name, _ := plug(t, stick(t))
	for test, c := range map[string]struct {
		to      func(*Source) *unix.SockaddrNetlink
		msg     []byte
		uid     int
		refused bool // by the kernel, before we see it
		count   func(Counters) uint64
	}{
		"unicast by root":       {unicast, forged(), 0, false, func(c Counters) uint64 { return c.Forged }},
		"multicast by root":     {multicast, forged(), 0, false, func(c Counters) uint64 { return c.Forged }},
		"oversized by root":     {unicast, long, 0, false, func(c Counters) uint64 { return c.Truncated }},
		"one byte by root":      {unicast, []byte{0}, 0, false, func(c Counters) uint64 { return c.Events }},
		"unicast by nobody":     {unicast, forged(), nobody, true, nil},
		"multicast by nobody":   {multicast, forged(), nobody, true, nil},
		"oversized by nobody":   {unicast, long, nobody, true, nil},
		"to the kernel, nobody": {func(*Source) *unix.SockaddrNetlink { return &unix.SockaddrNetlink{Family: unix.AF_NETLINK} }, forged(), nobody, false, nil},
	} {
		t.Run(test, func(t *testing.T) {
			s := listen(t, Options{})
			err := send(c.to(s), c.msg, c.uid)
			if c.refused != errors.Is(err, unix.EPERM) || !c.refused && err != nil {
				t.Fatalf("send: %v", err)
			}
			var seen []string
			synthesize(t, ueventOf(name), "change", 1) // comes after the forged one
			awaitHint(t, s, func(h Hint) bool { seen = append(seen, h.Disks...); return names(name)(h) })
			if slices.Contains(seen, forgedName) {
				t.Errorf("a forged event was believed: %q", seen)
			}
			if c.count != nil && c.count(s.Counters()) == 0 {
				t.Errorf("not counted: %+v", s.Counters())
			}
		})
	}
}

// TestEventInjectedThroughTheKernel: who has CAP_SYS_ADMIN may have the kernel
// itself send an event (since 4.18). Root can do worse things; it is a hint
// like any other, and sysfs knows no such disk.
func TestEventInjectedThroughTheKernel(t *testing.T) {
	need.Root(t)
	s := listen(t, Options{})
	if err := send(&unix.SockaddrNetlink{Family: unix.AF_NETLINK}, forged(), 0); err != nil {
		t.Fatal(err)
	}
	name, _ := plug(t, stick(t))
	awaitHint(t, s, names(name))
	if d, ok := refresh(t, "", forgedName, BusUSB, BusLoop); ok {
		t.Errorf("a disk that does not exist: %+v", d)
	}
}
