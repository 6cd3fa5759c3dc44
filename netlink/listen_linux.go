// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"runtime"
	"strings"
	"sync"

	udev "github.com/pilebones/go-udev/netlink"
	"golang.org/x/sys/unix"
)

// ErrClosed is returned by Next once the source is closed.
var ErrClosed = errors.New("uevent source is closed")

// peekSize is how much of a message is looked at before it is taken. The
// kernel builds uevents in 2 KiB (UEVENT_BUFFER_SIZE).
const peekSize = 4096

// subsystemBlock is how a block device's uevent says so; typePartition likewise.
var (
	subsystemBlock = []byte("\x00SUBSYSTEM=block\x00")
	typePartition  = []byte("\x00DEVTYPE=partition\x00")
	typeDisk       = []byte("\x00DEVTYPE=disk\x00")
	synthesized    = []byte("\x00SYNTH_UUID=")
	announcing     = []byte("add@")
)

// Options for Listen.
type Options struct {
	// Buffer is the size in bytes of the socket's receive queue; 0 means
	// 2 MiB. Beyond net.core.rmem_max it needs CAP_NET_ADMIN.
	Buffer int

	// Announced, where it is set, is called for each disk that the kernel
	// announces, with the kernel's name for its directory below /sys, as soon
	// as the event was read and before Next returns it. All events wait for it.
	Announced func(devpath string)
}

// Source is an open uevent socket with the goroutine that empties it. Its
// methods may be called from any goroutine.
type Source struct {
	conn udev.UEventConn
	wake int // eventfd that ends the goroutine
	tell func(devpath string)
	done chan struct{} // closed when the goroutine has ended
	stop sync.Once

	pending pending
}

// Listen opens the socket and starts to collect events: what happens after it
// returns is not missed by Next. The socket takes the kernel's multicast
// messages only.
func Listen(o Options) (*Source, error) {
	s, err := open(o)
	if err != nil {
		return nil, err
	}
	go s.collect()
	return s, nil
}

// open is Listen without the collecting.
func open(o Options) (*Source, error) {
	s := &Source{tell: o.Announced, done: make(chan struct{}), pending: pending{ready: make(chan struct{}, 1)}}
	s.conn.ReceiveBufferSize = o.Buffer
	if err := s.conn.Connect(udev.KernelEvent); err != nil {
		return nil, fmt.Errorf("listen for uevents: %w", err)
	}
	var err error
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		s.conn.Close()
		return nil, fmt.Errorf("listen for uevents: eventfd: %w", err)
	}
	return s, nil
}

// Next waits for events of block devices and returns everything that came
// since the last call as one hint. It uses no timer: an idle machine does not
// wake it. It returns ctx's error, ErrClosed, or the error that ended the
// source for good; one caller at a time.
func (s *Source) Next(ctx context.Context) (Hint, error) {
	for {
		hint, some, err := s.pending.take()
		if some || err != nil {
			return hint, err
		}
		select {
		case <-s.pending.ready:
		case <-ctx.Done():
			return Hint{}, ctx.Err()
		}
	}
}

// Counters returns what came in so far.
func (s *Source) Counters() Counters { return s.pending.counted() }

// Close ends the source and a waiting Next. It may be called more than once.
func (s *Source) Close() {
	s.stop.Do(func() {
		_, _ = unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 1}) // never zero in either byte order
		<-s.done
		s.conn.Close()
		unix.Close(s.wake)
	})
}

// collect empties the socket as events come, until Close or an error that
// does not pass. It blocks in poll(2) without a timeout: go-udev's own reads
// wake up every 200 ms, and Go's network poller takes no more events from a
// descriptor that once showed nothing but EPOLLERR.
func (s *Source) collect() {
	defer close(s.done)
	buf := make([]byte, peekSize)
	fds := []unix.PollFd{{Fd: int32(s.conn.Fd), Events: unix.POLLIN}, {Fd: int32(s.wake), Events: unix.POLLIN}}
	for {
		// Whom the last messages woke goes first: a thread that waits in the
		// kernel keeps its right to run Go code for a while, which on one
		// processor is the only one.
		runtime.Gosched()
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			s.pending.end(fmt.Errorf("wait for uevents: %w", err))
			return
		}
		s.pending.count(func(c *Counters) { c.Wakeups++ })
		if fds[1].Revents != 0 {
			s.pending.end(ErrClosed)
			return
		}
		if err := s.drain(buf); err != nil {
			s.pending.end(err)
			return
		}
	}
}

// batch bounds the messages taken before Close is looked for again.
const batch = 256

// drain takes the messages that are there, and notes what they say.
func (s *Source) drain(buf []byte) error {
	for range batch {
		n, _, err := unix.Recvfrom(s.conn.Fd, buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err == nil {
			s.pending.count(func(c *Counters) { c.Events++ })
			err = s.receive(buf[:n])
		}
		if err := s.excuse(err); err != nil {
			return err
		}
	}
	return nil
}

// excuse notes an error that passes, and returns any other.
func (s *Source) excuse(err error) error {
	switch {
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
	case errors.Is(err, unix.ENOBUFS):
		s.pending.lose()
	case errors.Is(err, udev.ErrUntrustedSender):
		s.pending.count(func(c *Counters) { c.Forged++ })
	case errors.Is(err, udev.ErrTruncatedMessage):
		s.pending.count(func(c *Counters) { c.Truncated++ })
	default:
		return fmt.Errorf("read uevent: %w", err)
	}
	return nil
}

// receive takes the message whose start is head off the queue. What would
// change nothing is dropped as cheaply as possible, whoever sent it: most
// messages are not about block devices, and a burst is about a few that wait
// for Next already. The others go through go-udev, which checks the sender.
func (s *Source) receive(head []byte) error {
	if !bytes.Contains(head, subsystemBlock) {
		return s.drop()
	}
	if name, ok := headName(head); ok && s.pending.repeat(name) {
		return s.drop()
	}
	msg, err := s.conn.ReadMsg()
	if err != nil {
		return err
	}
	if s.tell != nil && bytes.HasPrefix(msg, announcing) && bytes.Contains(msg, typeDisk) && !bytes.Contains(msg, synthesized) {
		s.early(msg)
	}
	if name, seq, ok := blockEvent(msg); ok {
		s.pending.add(name, seq)
	} else {
		s.pending.count(func(c *Counters) { c.Malformed++ })
	}
	return nil
}

// early calls Options.Announced with the path that the event msg begins with.
func (s *Source) early(msg []byte) {
	header, _, _ := bytes.Cut(msg, []byte{0})
	devpath := string(header[len(announcing):])
	if strings.HasPrefix(devpath, "/devices/") && path.Clean(devpath) == devpath && validName(path.Base(devpath)) {
		s.tell(devpath)
	}
}

// drop takes the next message off the queue without looking at it.
func (s *Source) drop() error {
	_, _, err := unix.Recvfrom(s.conn.Fd, nil, unix.MSG_DONTWAIT)
	return err
}

// headName is blockEvent for the start of a message: quick, and good enough to
// know a name again.
func headName(head []byte) (string, bool) {
	header, env, _ := bytes.Cut(head, []byte{0})
	_, devpath, _ := bytes.Cut(header, []byte("@"))
	devtype := ""
	if bytes.Contains(env, typePartition) {
		devtype = "partition"
	}
	return diskOf(string(devpath), devtype)
}

// blockEvent returns the name of the disk that a uevent's datagram is about,
// and false when it is not a well-formed event of a block device. announced is
// the DISKSEQ that the kernel announces the disk with, else 0.
func blockEvent(msg []byte) (disk string, announced uint64, ok bool) {
	e, err := udev.ParseUEvent(msg)
	if err != nil || e.Env["SUBSYSTEM"] != "block" {
		return "", 0, false
	}
	disk, ok = diskOf(e.KObj, e.Env["DEVTYPE"])
	if bytes.HasPrefix(msg, announcing) {
		announced = announcement(e.Env)
	}
	return disk, announced, ok
}

// announcement returns the DISKSEQ of a disk's own add. One that was asked for
// through sysfs has a SYNTH_UUID (Documentation/ABI/testing/sysfs-uevent) since
// Linux 4.13, and every disk a DISKSEQ since 5.15.
func announcement(env map[string]string) uint64 {
	if _, asked := env["SYNTH_UUID"]; asked || env["DEVTYPE"] != "disk" {
		return 0
	}
	seq, err := parseNumber(env["DISKSEQ"], math.MaxUint64)
	if err != nil {
		return 0
	}
	return seq
}
