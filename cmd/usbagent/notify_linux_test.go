// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// datagrams listens at address, and returns what comes next, its descriptors too.
func datagrams(t *testing.T, address string) (conn *net.UnixConn, next func() (string, []int)) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, func() (string, []int) {
		t.Helper()
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		b, rights := make([]byte, 1<<16), make([]byte, 64)
		n, m, _, _, err := conn.ReadMsgUnix(b, rights)
		if err != nil {
			t.Fatal(err)
		}
		var all []int
		messages, _ := unix.ParseSocketControlMessage(rights[:m])
		for _, m := range messages {
			fds, _ := unix.ParseUnixRights(&m)
			all = append(all, fds...)
		}
		return string(b[:n]), all
	}
}

// TestNotify: a path, an abstract socket, nobody to tell, and nobody there.
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	for _, address := range []string{path, "@usbagent-notify-" + strconv.Itoa(os.Getpid())} {
		_, next := datagrams(t, address)
		t.Setenv("NOTIFY_SOCKET", address)
		for _, state := range []string{stateReady, stateAlive, stateStopping} {
			if err := notify(state); err != nil {
				t.Errorf("%s: %v", address, err)
			} else if got, _ := next(); got != state {
				t.Errorf("%s: %q, want %q", address, got, state)
			}
		}
	}
	t.Setenv("NOTIFY_SOCKET", path+".none")
	if err := notify(stateReady); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody there: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := notify(stateReady); err != nil {
		t.Errorf("nobody to tell: %v", err)
	}
}

func TestWatchdog(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		good      bool
	}{
		{"100", own, 100 * time.Microsecond, true}, {"1", "", time.Microsecond, true}, {"30000000", own, 30 * time.Second, true},
		{"", own, 0, true}, {"", "", 0, true}, {"1", "1", 0, true}, {"1", "none", 0, true},
		{"0", own, 0, false}, {"-1", own, 0, false}, {"soon", own, 0, false}, {"9223372036854775807", own, 0, false},
	} {
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		if got, err := watchdog(); got != c.want || (err == nil) != c.good {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

func TestStderrIsJournal(t *testing.T) {
	var stat unix.Stat_t
	if err := unix.Fstat(2, &stat); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino): true, fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1): false,
		fmt.Sprintf("%d:%d", stat.Dev+1, stat.Ino): false, "": false, "nonsense": false,
	} {
		t.Setenv("JOURNAL_STREAM", text)
		if got := stderrIsJournal(); got != want {
			t.Errorf("JOURNAL_STREAM=%s: %v", text, got)
		}
	}
}

// TestJournalMessage: a message has journald's form, byte for byte.
func TestJournalMessage(t *testing.T) {
	entry := zapcore.Entry{Level: zapcore.WarnLevel, Message: "of no list"}
	got := journalMessage(entry, "two\nlines", map[string]string{"device": "sda1"})
	want := "PRIORITY=4\nMESSAGE\n" + string(binary.LittleEndian.AppendUint64(nil, 9)) + "two\nlines\nSYSLOG_IDENTIFIER=usbagent\nUSBAGENT_DEVICE=sda1\n"
	if string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	entry = zapcore.Entry{Level: zapcore.InfoLevel, LoggerName: "usb-autorun", Message: "step failed"}
	if got := string(journalMessage(entry, "a line", nil)); got != "PRIORITY=6\nMESSAGE=a line\nSYSLOG_IDENTIFIER=usb-autorun\n" {
		t.Errorf("of a script: %q", got)
	}
}

// TestJournalSocket: messages arrive, those too that no datagram holds, and after
// journald made its socket anew.
func TestJournalSocket(t *testing.T) {
	journal := journalSocket{path: filepath.Join(t.TempDir(), "journal")}
	if err := journal.send([]byte("nobody")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody listens: %v", err)
	}
	for _, text := range []string{"first", "second"} {
		conn, next := datagrams(t, journal.path)
		for range 2 {
			if err := journal.send([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if got, _ := next(); got != text {
				t.Errorf("%q, want %q", got, text)
			}
		}
		large := []byte(strings.Repeat(text, 1<<20))
		if err := journal.send(large); err != nil {
			t.Fatal(err)
		}
		got, fds := next()
		if got != "" || len(fds) != 1 {
			t.Fatalf("of a large one: %d bytes, %d descriptors", len(got), len(fds))
		}
		f := os.NewFile(uintptr(fds[0]), "received")
		seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
		content := make([]byte, len(large)+1)
		n, _ := f.ReadAt(content, 0)
		if err != nil || seals&unix.F_SEAL_WRITE == 0 || !bytes.Equal(content[:n], large) {
			t.Errorf("of a large one: %d bytes of %d, seals %x, %v", n, len(large), seals, err)
		}
		f.Close()
		conn.Close()
		os.Remove(journal.path)
	}
}
