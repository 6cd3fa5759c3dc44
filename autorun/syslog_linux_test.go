// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// syslogLine is what log/syslog of the standard library writes.
func syslogLine(text string) *regexp.Regexp {
	return regexp.MustCompile(fmt.Sprintf(`^<14>[A-Z][a-z]{2} [ 0-3]\d \d\d:\d\d:\d\d usb-autorun\[%d\]: %s\n$`, os.Getpid(), text))
}

// TestSyslog: lines reach the log daemon, by datagrams or by a stream, one that
// comes later, and one that was restarted.
func TestSyslog(t *testing.T) {
	path, real := filepath.Join(t.TempDir(), "log"), syslogPaths
	syslogPaths = []string{path + ".none", path}
	defer func() { syslogPaths = real }()
	var tell teller
	tell.line("nobody listens")
	datagrams := func() (*net.UnixConn, func(string)) {
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		return conn, func(text string) {
			t.Helper()
			tell.line(text)
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			b := make([]byte, 256)
			if n, err := conn.Read(b); err != nil || !syslogLine(text).Match(b[:n]) {
				t.Errorf("%q, %v", b[:n], err)
			}
		}
	}
	first, expect := datagrams()
	expect("one")
	expect("two")
	first.Close()
	os.Remove(path)
	second, expect := datagrams()
	expect("of the next")
	second.Close()
	os.Remove(path)
	tell.line("nobody again")
	stream, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	tell.line("by a stream")
	conn, err := stream.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !syslogLine("by a stream").MatchString(line) {
		t.Errorf("%q, %v", line, err)
	}
}
