// SPDX-License-Identifier: GPL-3.0-or-later

package sockets

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Errors of what came with a message.
var (
	errNoFile    = errors.New("no descriptor came with the message")
	errManyFiles = errors.New("more than one descriptor came with the message")
)

// direction is what a socket is to be ready for.
type direction bool

const (
	reading direction = false
	writing direction = true
)

// wait calls f with the descriptor until it does not say EAGAIN any more; in
// between the poller waits, up to the deadline.
func wait(file *os.File, d direction, call string, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	try := func(fd uintptr) bool {
		failed = again(func() error { return f(int(fd)) })
		return !errors.Is(failed, unix.EAGAIN)
	}
	if d == writing {
		err = raw.Write(try)
	} else {
		err = raw.Read(try)
	}
	if err != nil {
		return err
	}
	return os.NewSyscallError(call, failed)
}

// SendFile sends b in one message, and with it a descriptor of f (unix(7),
// SCM_RIGHTS). f stays open and the caller's.
func (c *Conn) SendFile(b []byte, f *os.File) error {
	rights := unix.UnixRights(int(f.Fd()))
	n := 0
	err := wait(c.file, writing, "sendmsg", func(fd int) (err error) {
		n, err = unix.SendmsgN(fd, b, rights, nil, unix.MSG_NOSIGNAL)
		return err
	})
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// ReceiveFile reads into b what comes in one piece, and takes the one descriptor
// that must have come with it.
func (c *Conn) ReceiveFile(b []byte) (n int, f *os.File, err error) {
	rights := make([]byte, unix.CmsgSpace(2*4)) // one descriptor, and one that is too many
	m := 0
	if err := wait(c.file, reading, "recvmsg", func(fd int) (err error) {
		n, m, _, _, err = unix.Recvmsg(fd, b, rights, unix.MSG_CMSG_CLOEXEC)
		return err
	}); err != nil {
		return 0, nil, err
	}
	fds := descriptors(rights[:m])
	if len(fds) == 1 {
		return n, os.NewFile(uintptr(fds[0]), c.file.Name()), nil
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	if len(fds) == 0 {
		return n, nil, errNoFile
	}
	return n, nil, errManyFiles
}

// descriptors are those in a control message, which are open here already.
func descriptors(rights []byte) (all []int) {
	messages, _ := unix.ParseSocketControlMessage(rights)
	for _, m := range messages {
		fds, _ := unix.ParseUnixRights(&m)
		all = append(all, fds...)
	}
	return all
}
