// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"usbagent/internal/sockets"
)

// journalPath is where journald takes messages (systemd.io, "Native Journal
// Protocol").
const journalPath = "/run/systemd/journal/socket"

// Priorities of the journal (syslog(3)).
const (
	priorityError   = "3"
	priorityWarning = "4"
	priorityInfo    = "6"
	priorityDebug   = "7"
)

// stderrIsJournal reports whether the standard error output is the stream to
// journald that the service manager made (systemd.exec(5), JOURNAL_STREAM).
func stderrIsJournal() bool {
	var stat unix.Stat_t
	return unix.Fstat(unix.Stderr, &stat) == nil && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// journalSocket is the connection to journald.
type journalSocket struct {
	path string
	mu   sync.Mutex
	conn *sockets.Conn // nil: not connected
}

// send sends one message. The socket is connected anew where journald has made
// another one.
func (j *journalSocket) send(message []byte) (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for range 2 {
		if j.conn == nil {
			if j.conn, err = sockets.DialDatagram(j.path); err != nil {
				return err
			}
		}
		if err = sendMessage(j.conn, message); err == nil {
			return nil
		}
		j.conn.Close()
		j.conn = nil
	}
	return err
}

// sendMessage sends message, or a descriptor of its text where it is larger than
// a datagram can be.
func sendMessage(conn *sockets.Conn, message []byte) error {
	_, err := conn.Write(message)
	if !errors.Is(err, unix.EMSGSIZE) && !errors.Is(err, unix.ENOBUFS) {
		return err
	}
	file, err := sealed(message)
	if err != nil {
		return err
	}
	defer file.Close()
	return conn.SendFile(nil, file)
}

// sealed is a file in memory that nobody can change any more, as journald wants it.
func sealed(text []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("journal", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "journal")
	_, err = file.Write(text)
	if err == nil {
		_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// appendField adds one field; a value of several lines has its length before it.
func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	if strings.Contains(value, "\n") {
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	} else {
		b = append(b, '=')
	}
	b = append(b, value...)
	return append(b, '\n')
}
