// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"

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
	conn   udev.UEventConn
	arrive *os.File // an epoll(7) instance that waits for the socket
	tell   func(devpath string)
	done   chan struct{} // closed when the goroutine has ended
	stop   sync.Once
	closed atomic.Bool

	pending pending
	latest  announced // the goroutine's own
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
	if s.arrive, err = pollable(s.conn.Fd); err != nil {
		s.conn.Close()
		return nil, fmt.Errorf("listen for uevents: epoll: %w", err)
	}
	return s, nil
}

// pollable returns a file that Go's network poller says is readable when the
// socket fd is, or has an error. The poller would take no more events from the
// socket itself once that showed nothing but EPOLLERR; an epoll instance shows
// none.
func pollable(fd int) (*os.File, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	if err == nil {
		err = unix.SetNonblock(ep, true)
	}
	if err != nil {
		unix.Close(ep)
		return nil, err
	}
	return os.NewFile(uintptr(ep), "uevents"), nil
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
		s.closed.Store(true)
		s.arrive.Close()
		<-s.done
		s.conn.Close()
	})
}

// collect empties the socket as events come, until Close or an error that
// does not pass. It waits by Go's network poller: go-udev's own reads wake up
// every 200 ms, and a thread that waits in the kernel keeps its right to run Go
// code for a while, which on one processor is the only one.
func (s *Source) collect() {
	defer close(s.done)
	buf := make([]byte, peekSize)
	var err error
	raw, wrong := s.arrive.SyscallConn()
	if wrong == nil {
		waited := false
		wrong = raw.Read(func(uintptr) bool {
			if waited {
				s.pending.count(func(c *Counters) { c.Wakeups++ })
			}
			waited = true
			err = s.drain(buf)
			return err != nil
		})
	}
	switch {
	case s.closed.Load():
		s.pending.end(ErrClosed)
	case wrong != nil:
		s.pending.end(fmt.Errorf("wait for uevents: %w", wrong))
	default:
		s.pending.end(err)
	}
}

// drain takes the messages that are there, and notes what they say. It is an
// error that the source was closed meanwhile.
func (s *Source) drain(buf []byte) error {
	for !s.closed.Load() {
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
	return ErrClosed
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
	if name, ok := headName(head); ok {
		follows := s.latest.tells(name, head)
		if !follows && s.latest.disk == name {
			s.latest = announced{}
		}
		if s.pending.repeat(name) {
			return s.drop()
		}
		if follows {
			s.pending.count(func(c *Counters) { c.Block++ })
			return s.drop()
		}
	}
	msg, err := s.conn.ReadMsg()
	if err != nil {
		return err
	}
	if s.tell != nil && bytes.HasPrefix(msg, announcing) && bytes.Contains(msg, typeDisk) && !bytes.Contains(msg, synthesized) {
		s.early(msg)
	}
	if name, seq, ok := blockEvent(msg); ok {
		if seq != 0 {
			s.latest = announcedBy(name, seq, msg)
		}
		s.pending.add(name, seq)
	} else {
		s.pending.count(func(c *Counters) { c.Malformed++ })
	}
	return nil
}

// maxFollowing is how many uevents after a disk's its partitions' may come, other
// devices' among them.
const maxFollowing = 512

// announced is a disk whose add was the last event about it. The kernel adds a disk
// when all its partitions are there, and tells of them right after it (block/genhd.c,
// disk_uevent), so those events say what whoever looks at the disk sees anyway.
type announced struct {
	disk    string
	diskSeq []byte // as it stands in the events of this insertion
	seqNum  uint64
}

func announcedBy(disk string, diskSeq uint64, msg []byte) announced {
	n, ok := seqNum(msg)
	if !ok {
		return announced{}
	}
	return announced{disk, fmt.Appendf(nil, "\x00DISKSEQ=%d\x00", diskSeq), n}
}

// tells reports whether msg, or its start, is the add of one of the partitions with
// which the disk came.
func (a announced) tells(disk string, msg []byte) bool {
	if a.disk == "" || disk != a.disk || !bytes.HasPrefix(msg, announcing) || !bytes.Contains(msg, typePartition) ||
		!bytes.Contains(msg, a.diskSeq) || bytes.Contains(msg, synthesized) {
		return false
	}
	n, ok := seqNum(msg)
	return ok && n > a.seqNum && n-a.seqNum <= maxFollowing
}

// seqNum is the number of a uevent: the kernel counts them.
func seqNum(msg []byte) (uint64, bool) {
	_, rest, found := bytes.Cut(msg, []byte("\x00SEQNUM="))
	text, _, whole := bytes.Cut(rest, []byte{0})
	n, err := parseNumber(string(text), math.MaxUint64)
	return n, found && whole && err == nil
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
