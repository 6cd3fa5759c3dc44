// SPDX-License-Identifier: GPL-3.0-or-later

// Package sockets connects processes of one machine by unix(7) sockets.
//
// Package net would do the same, and bring the resolver, TCP and UDP along,
// 0.4 MB that nothing here needs. A socket is an os.File that does not block:
// Go's poller waits for it, so deadlines work and no thread is held.
//
// An address is a path, or a name that begins with "@" and is in no file system
// (unix(7), "abstract"). A path has at most 107 bytes.
package sockets

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connected socket. Its methods may be called by several goroutines
// at the same time, and Close ends those that wait.
type Conn struct{ file *os.File }

// Dial connects to the stream socket at address. It does not wait for whoever
// listens there: where too many wait already, it fails with EAGAIN.
func Dial(address string) (*Conn, error) {
	return dial("unix", unix.SOCK_STREAM, address)
}

// DialDatagram connects to the datagram socket at address: each Write is a
// message of its own.
func DialDatagram(address string) (*Conn, error) {
	return dial("unixgram", unix.SOCK_DGRAM, address)
}

func dial(network string, kind int, address string) (*Conn, error) {
	fd, err := open(kind)
	if err == nil {
		if err = os.NewSyscallError("connect", connect(fd, address)); err == nil {
			return &Conn{os.NewFile(uintptr(fd), network+" "+address)}, nil
		}
		unix.Close(fd)
	}
	return nil, fmt.Errorf("dial %s %s: %w", network, address, err)
}

// open makes a socket that does not block and that no child inherits.
func open(kind int) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return fd, os.NewSyscallError("socket", err)
}

func connect(fd int, address string) error {
	return again(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: address}) })
}

// again calls f until no signal has interrupted it.
func again(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Read implements io.Reader.
func (c *Conn) Read(b []byte) (int, error) { return c.file.Read(b) }

// Write implements io.Writer. It writes all of b, or fails.
func (c *Conn) Write(b []byte) (int, error) { return c.file.Write(b) }

// Close closes the socket.
func (c *Conn) Close() error { return c.file.Close() }

// SetReadDeadline ends reading at t, with os.ErrDeadlineExceeded; the zero time
// never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }

// SetWriteDeadline ends writing at t, with os.ErrDeadlineExceeded; the zero time
// never.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.file.SetWriteDeadline(t) }

// CloseWrite tells the other end that nothing more will come.
func (c *Conn) CloseWrite() error {
	return c.control("shutdown", func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) })
}

// Peer is the process that connected, or that listened, as the kernel saw it then
// (unix(7), SO_PEERCRED).
func (c *Conn) Peer() (who *unix.Ucred, err error) {
	err = c.control("getsockopt", func(fd int) (err error) {
		who, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	})
	return who, err
}

// control calls f, which does not wait, with the descriptor.
func (c *Conn) control(call string, f func(fd int) error) error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return os.NewSyscallError(call, failed)
}

// Listener is a stream socket that others connect to.
type Listener struct{ file *os.File }

// backlog is how many may wait until they are accepted; the kernel takes less
// where its own limit is lower (listen(2)).
const backlog = 4096

// Listen makes the stream socket address. Its path stays when it is closed.
func Listen(address string) (*Listener, error) {
	fd, err := open(unix.SOCK_STREAM)
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: address}))
		if err == nil {
			err = os.NewSyscallError("listen", unix.Listen(fd, backlog))
		}
		if err == nil {
			return &Listener{os.NewFile(uintptr(fd), "unix "+address)}, nil
		}
		unix.Close(fd)
	}
	return nil, fmt.Errorf("listen unix %s: %w", address, err)
}

// ListenerOf is the listener whose descriptor came from another process. f stays
// open and the caller's.
func ListenerOf(f *os.File) (*Listener, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("setnonblock", err)
	}
	return &Listener{os.NewFile(uintptr(fd), f.Name())}, nil
}

// Accept waits for somebody to connect.
func (l *Listener) Accept() (*Conn, error) {
	var fd int
	if err := wait(l.file, reading, "accept", func(listener int) (err error) {
		fd, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return err
	}); err != nil {
		return nil, err
	}
	return &Conn{os.NewFile(uintptr(fd), l.file.Name())}, nil
}

// SetDeadline ends waiting at t, with os.ErrDeadlineExceeded; the zero time never.
func (l *Listener) SetDeadline(t time.Time) error { return l.file.SetReadDeadline(t) }

// Close closes the socket.
func (l *Listener) Close() error { return l.file.Close() }

// File is the listener as a file, to be handed to another process. The caller
// closes the one or the other, not both.
func (l *Listener) File() *os.File { return l.file }
