// SPDX-License-Identifier: GPL-3.0-or-later

package sockets

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openFiles is how many descriptors this process has.
func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// TestFile: a descriptor arrives with its message, and no child inherits it.
func TestFile(t *testing.T) {
	client, server := pair(t, filepath.Join(t.TempDir(), "socket"))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := client.SendFile([]byte("a pipe\n"), w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	b := make([]byte, 64)
	n, got, err := server.ReceiveFile(b)
	if err != nil || string(b[:n]) != "a pipe\n" {
		t.Fatalf("%q, %v", b[:n], err)
	}
	if flags, err := unix.FcntlInt(got.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %x, %v: a child would inherit it", flags, err)
	}
	got.WriteString("through it")
	got.Close()
	if text, err := io.ReadAll(r); string(text) != "through it" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// TestWrongFiles: a message with none, with two, with more than are looked for,
// and no message are errors, after which nothing is left open.
func TestWrongFiles(t *testing.T) {
	address := filepath.Join(t.TempDir(), "socket")
	l, err := Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stranger, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	before := openFiles(t)
	for n, want := range map[int]error{0: errNoFile, 2: errManyFiles, 9: errManyFiles} {
		fds := make([]int, n)
		if _, _, err := stranger.WriteMsgUnix([]byte("m"), unix.UnixRights(fds...), nil); err != nil {
			t.Fatal(err)
		}
		if _, f, err := server.ReceiveFile(make([]byte, 8)); f != nil || !errors.Is(err, want) {
			t.Errorf("%d descriptors: %v, %v", n, f, err)
		}
	}
	server.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, f, err := server.ReceiveFile(make([]byte, 8)); f != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("no message: %v, %v", f, err)
	}
	server.SetReadDeadline(time.Time{})
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
	stranger.Close()
	if _, f, err := server.ReceiveFile(make([]byte, 8)); f != nil || !errors.Is(err, errNoFile) {
		t.Errorf("the end: %v, %v", f, err)
	}
}
