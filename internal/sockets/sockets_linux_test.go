// SPDX-License-Identifier: GPL-3.0-or-later

package sockets

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// addresses are one of each kind.
func addresses(t *testing.T) map[string]string {
	return map[string]string{
		"path":     filepath.Join(t.TempDir(), "socket"),
		"abstract": "@usbagent-test-" + strconv.Itoa(os.Getpid()) + "-" + t.Name(),
	}
}

// pair is a connection through a listener of ours.
func pair(t *testing.T, address string) (client, server *Conn) {
	t.Helper()
	l, err := Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = Dial(address); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// TestStream: both ends are ours, and what is too much for the kernel's buffers
// arrives all the same.
func TestStream(t *testing.T) {
	for kind, address := range addresses(t) {
		client, server := pair(t, address)
		sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		go func() {
			client.Write(sent)
			client.CloseWrite()
		}()
		got, err := io.ReadAll(server)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%s: %d bytes of %d, %v", kind, len(got), len(sent), err)
		}
		server.Write([]byte("still here"))
		server.Close()
		if got, err := io.ReadAll(client); string(got) != "still here" || err != nil {
			t.Errorf("%s: after CloseWrite %q, %v", kind, got, err)
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
			t.Errorf("%s: to nobody: %v", kind, err)
		}
	}
}

// TestWithPackageNet: an address means the same to both.
func TestWithPackageNet(t *testing.T) {
	for kind, address := range addresses(t) {
		theirs, err := net.Listen("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := Dial(address)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		conn.Close()
		theirs.Close()
		ours, err := Listen(address)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		other, err := net.Dial("unix", address)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		other.Close()
		ours.Close()
		if _, err := os.Lstat(address); (err == nil) != (kind == "path") {
			t.Errorf("%s: after Close: %v", kind, err)
		}
	}
}

// TestErrors: what cannot be reached, or made, is named.
func TestErrors(t *testing.T) {
	missing, long := filepath.Join(t.TempDir(), "none"), "/"+strings.Repeat("x", 108)
	for address, want := range map[string]error{missing: unix.ENOENT, long: unix.EINVAL} {
		_, err := Dial(address)
		if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "dial unix "+address+": connect: ") {
			t.Errorf("Dial(%q) = %v", address, err)
		}
	}
	if _, err := DialDatagram(missing); !errors.Is(err, unix.ENOENT) {
		t.Errorf("DialDatagram: %v", err)
	}
	if _, err := Listen(filepath.Join(missing, "socket")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Listen: %v", err)
	}
	if _, err := Listen(long); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Listen: %v", err)
	}
	l, err := Listen(missing)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := Dial(missing); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestDeadlines: each wait ends at its deadline, and goes on when that is moved.
func TestDeadlines(t *testing.T) {
	address := filepath.Join(t.TempDir(), "socket")
	l, err := Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Accept: %v", err)
	}
	l.SetDeadline(time.Time{})
	client, err := Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	time.AfterFunc(20*time.Millisecond, func() { server.SetReadDeadline(time.Unix(1, 0)) }) // while it waits
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
	server.SetReadDeadline(time.Time{})
	client.Write(make([]byte, 16))
	client.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := client.Write(make([]byte, 4<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write to who does not read: %v", err)
	}
	if n, err := server.Read(make([]byte, 16)); n != 16 || err != nil {
		t.Errorf("Read after the deadline: %d, %v", n, err)
	}
}

// TestClose ends those who wait.
func TestClose(t *testing.T) {
	client, server := pair(t, filepath.Join(t.TempDir(), "socket"))
	time.AfterFunc(20*time.Millisecond, func() { server.Close() })
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("at the other end: %d, %v", n, err)
	}
	for what, err := range map[string]error{"CloseWrite": server.CloseWrite(), "SendFile": server.SendFile(nil, os.Stdin), "Close": server.Close()} {
		if err == nil {
			t.Errorf("%s of a closed one: no error", what)
		}
	}
}

// TestPeer: each end sees who the other is.
func TestPeer(t *testing.T) {
	client, server := pair(t, filepath.Join(t.TempDir(), "socket"))
	for _, c := range []*Conn{client, server} {
		if who, err := c.Peer(); err != nil || int(who.Pid) != os.Getpid() || int(who.Uid) != os.Geteuid() {
			t.Errorf("%+v, %v", who, err)
		}
	}
}

// TestListenerOf: a listener is handed over as a file, as to a child.
func TestListenerOf(t *testing.T) {
	address := filepath.Join(t.TempDir(), "socket")
	first, err := Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ListenerOf(first.File())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	first.Close()
	client, err := Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if c, err := second.Accept(); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if _, err := ListenerOf(first.File()); err == nil {
		t.Error("a closed file became a listener")
	}
}

// TestDatagram: each Write is a message; one that is too large is refused whole.
func TestDatagram(t *testing.T) {
	for kind, address := range addresses(t) {
		theirs, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		conn, err := DialDatagram(address)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		defer conn.Close()
		for _, text := range []string{"one", "two"} {
			if _, err := conn.Write([]byte(text)); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			b := make([]byte, 16)
			if n, err := theirs.Read(b); string(b[:n]) != text || err != nil {
				t.Errorf("%s: got %q, %v", kind, b[:n], err)
			}
		}
		if _, err := conn.Write(make([]byte, 8<<20)); !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("%s: 8 MB: %v", kind, err)
		}
	}
}
