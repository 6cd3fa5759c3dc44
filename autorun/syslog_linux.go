// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"fmt"
	"os"
	"time"

	"usbagent/internal/sockets"
)

// syslogPaths are where log daemons listen, and used to.
var syslogPaths = []string{"/dev/log", "/var/run/syslog", "/var/run/log"}

// syslogPriority is that of an ordinary line of a program: LOG_USER|LOG_INFO
// (syslog(3)).
const syslogPriority = 1<<3 | 6

// syslog is the machine's log daemon.
type syslog struct{ conn *sockets.Conn }

// dialSyslog returns nil where none listens.
func dialSyslog() *syslog {
	for _, dial := range []func(string) (*sockets.Conn, error){sockets.DialDatagram, sockets.Dial} {
		for _, path := range syslogPaths {
			if conn, err := dial(path); err == nil {
				return &syslog{conn}
			}
		}
	}
	return nil
}

// write sends one line, in the form that syslog(3) of the C library has; the
// newline ends it where the socket is a stream.
func (s *syslog) write(text string) error {
	_, err := fmt.Fprintf(s.conn, "<%d>%s %s[%d]: %s\n", syslogPriority, time.Now().Format(time.Stamp), SyslogIdentifier, os.Getpid(), text)
	return err
}
