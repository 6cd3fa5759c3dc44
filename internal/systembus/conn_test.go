// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
)

// server is the other end of a connection, in the test's hands.
type server struct {
	t  *testing.T
	in *bufio.Reader
	net.Conn
}

// greeted returns a connection and its other end, which has let it in.
func greeted(t *testing.T, signals func(*Signal)) (*Conn, *server) {
	t.Helper()
	ours, theirs := net.Pipe()
	s := &server{t, bufio.NewReader(theirs), theirs}
	begun := make(chan struct{})
	go func() {
		defer close(begun)
		s.lines("\x00AUTH EXTERNAL\r\n", "DATA\r\n")
		io.WriteString(theirs, "DATA\r\nOK 0123456789abcdef\r\n")
		s.lines("BEGIN\r\n")
	}()
	c, err := New(t.Context(), ours, Options{Signals: signals, Peer: true})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	t.Cleanup(func() { c.Close(); theirs.Close() })
	return c, s
}

// lines reads these.
func (s *server) lines(want ...string) {
	for _, w := range want {
		if line, err := s.in.ReadString('\n'); line != w {
			s.t.Errorf("line %q, %v, want %q", line, err, w)
		}
	}
}

// next reads a call, with godbus.
func (s *server) next() *dbus.Message {
	m, err := dbus.DecodeMessage(s.in)
	if err != nil {
		s.t.Error(err)
	}
	return m
}

// answer is the reply to call serial.
func answer(serial uint32, values ...any) []byte {
	return reply(kindReturn, []field{{fieldReplySerial, serial}, {fieldSignature, typesOf(values)}}, values)
}

// reply is a message with these fields in its header.
func reply(kind byte, fields []field, values []any) []byte {
	e := encoder{b: []byte{'l', kind, 0, 1, 0, 0, 0, 0}}
	e.uint32(9)
	array(&e, '(', fields, func(f field) error {
		e.align(8)
		e.b = append(e.b, f.code)
		return e.value(Variant{f.value})
	})
	e.align(8)
	body := len(e.b)
	for _, v := range values {
		e.value(v)
	}
	binary.LittleEndian.PutUint32(e.b[4:], uint32(len(e.b)-body))
	return e.b
}

func call(method string) *Call {
	return &Call{Object: Object{"a.name", "/"}, Method: "an.interface." + method}
}

// TestSendAtOnce: calls that are sent together go out in one piece, and whole.
func TestSendAtOnce(t *testing.T) {
	c, s := greeted(t, nil)
	calls := []*Call{call("One"), call("Two"), call("Three")}
	calls[1].Args = []any{strings.Repeat("x", 5)} // the next one begins at an odd place
	sent := make(chan error, 1)
	go func() { sent <- c.Send(t.Context(), calls...) }()
	b := make([]byte, 1<<16)
	n, err := s.Read(b) // of a pipe: one Write
	if err != nil || <-sent != nil {
		t.Fatal(n, err)
	}
	s.in = bufio.NewReader(strings.NewReader(string(b[:n])))
	for _, name := range []string{"One", "Two", "Three"} {
		if m := s.next(); m.Headers[dbus.FieldMember].Value() != name {
			t.Errorf("%v, want %s", m, name)
		}
	}
	if s.in.Buffered() != 0 {
		t.Errorf("%d bytes more", s.in.Buffered())
	}
	go s.Write(append(append(answer(calls[2].serial, "third"), answer(calls[0].serial, "first")...), answer(calls[1].serial, "second")...))
	for i, want := range []string{"first", "second", "third"} {
		var got string
		if err := errors.Join(c.Wait(t.Context(), calls[i]), calls[i].Store(&got)); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

// TestOrder: signals come in their order and before the answer that was sent after
// them; what is no message's content is none.
func TestOrder(t *testing.T) {
	var got []any
	c, s := greeted(t, func(signal *Signal) { got = append(got, signal.Body...) })
	go func() {
		m := s.next()
		for i := range uint32(1000) {
			s.Write(encoded(t, binary.BigEndian, i))
		}
		bad := encoded(t, binary.LittleEndian, true)
		bad[len(bad)-4] = 2
		s.Write(bad)
		s.Write(answer(m.Serial()+7, "to nobody"))
		s.Write(answer(m.Serial(), "all"))
	}()
	var text string
	if err := c.Call(t.Context(), call("Flood"), &text); err != nil || text != "all" || len(got) != 1000 {
		t.Errorf("%q, %v, %d signals", text, err, len(got))
	}
	for i, v := range got {
		if v != uint32(i) {
			t.Fatalf("signal %d is %v", i, v)
		}
	}
}

// TestUnread: one who does not read, and one who does not answer, hold up nobody
// whose context ends; after half a message the connection ends.
func TestUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := greeted(t, nil)
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go s.next()
		silent := call("Silent")
		if err := c.Call(soon, silent); !errors.Is(err, context.DeadlineExceeded) || !c.Connected() || len(c.calls) != 0 {
			t.Errorf("no answer: %v, %d calls are waited for", err, len(c.calls))
		}
		begun := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		long, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		writes := make(chan error, 2)
		go func() { writes <- c.Send(long, call("Stuck")) }()
		synctest.Wait()
		go func() { writes <- c.Send(short, call("Behind")) }()
		if err := <-writes; !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second || !c.Connected() {
			t.Errorf("behind another: %v after %v, connected %v", err, time.Since(begun), c.Connected())
		}
		if err := <-writes; !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Minute || c.Connected() {
			t.Errorf("nobody reads: %v after %v, connected %v", err, time.Since(begun), c.Connected())
		}
		if err := c.Send(t.Context(), call("After")); !errors.Is(err, ErrClosed) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestWriteThatWasTaken: a context that has ended does not end a connection on
// which nothing stuck.
func TestWriteThatWasTaken(t *testing.T) {
	c, s := greeted(t, nil)
	go func() {
		for {
			if _, err := s.in.ReadByte(); err != nil {
				return
			}
		}
	}()
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		c.Send(ctx, call("M"))
		if !c.Connected() {
			return // it was ended in the middle, which may be
		}
		if err := c.Send(t.Context(), call("Next")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEnd: the end of a connection, from either side, ends all calls, and is told.
func TestEnd(t *testing.T) {
	for name, end := range map[string]func(*Conn, *server){
		"closed":        func(c *Conn, _ *server) { c.Close(); c.Close() },
		"by the server": func(_ *Conn, s *server) { s.Close() },
		"nonsense":      func(_ *Conn, s *server) { s.Write([]byte("HTTP/1.1 400 Bad Request\r\n")) },
	} {
		c, s := greeted(t, nil)
		go func() {
			s.next()
			end(c, s)
		}()
		var text string
		if err := c.Call(t.Context(), call("M"), &text); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
		<-c.Done()
		if err := c.Call(t.Context(), call("M")); !errors.Is(err, ErrClosed) || c.Connected() {
			t.Errorf("%s: afterwards %v", name, err)
		}
	}
}

// TestAnswers: an error has its name and words; what is too long, or malformed,
// is the call's error and not the connection's.
func TestAnswers(t *testing.T) {
	c, s := greeted(t, nil)
	ask := func(reply func(serial uint32) []byte) error {
		go func() { s.Write(reply(s.next().Serial())) }()
		return c.Call(t.Context(), call("M"), new([]any))
	}
	failed := func(values ...any) func(uint32) []byte {
		return func(serial uint32) []byte {
			return reply(kindError, []field{{fieldErrorName, "an.Error"}, {fieldReplySerial, serial}, {fieldSignature, typesOf(values)}}, values)
		}
	}
	for want, err := range map[Error]error{
		{"an.Error", "words"}: ask(failed("words", uint32(1))), {"an.Error", ""}: ask(failed()),
	} {
		var got Error
		if !errors.As(err, &got) || got != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if err := ask(failed(uint32(7))); err == nil || err.Error() != "an.Error" {
		t.Errorf("an error with a number: %v", err)
	}
	if err := ask(func(serial uint32) []byte { return answerOf(serial, MaxMessage, 0) }); err == nil || !strings.Contains(err.Error(), "bytes are more than") {
		t.Errorf("too long: %v", err)
	}
	if err := ask(func(serial uint32) []byte { b := answer(serial, true); b[len(b)-4] = 5; return b }); err == nil || !strings.Contains(err.Error(), "boolean is 5") {
		t.Errorf("malformed: %v", err)
	}
	if err := ask(func(serial uint32) []byte { return answer(serial, "text") }); err == nil || !strings.Contains(err.Error(), "value 1 is a string") {
		t.Errorf("of another type: %v", err)
	}
	if err := ask(func(serial uint32) []byte { return answer(serial, []string{"good"}) }); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// TestAuthenticate: what servers say, and what they should not.
func TestAuthenticate(t *testing.T) {
	for answers, want := range map[string]string{
		"DATA\r\nOK 12\r\n":                 "", // dbus-daemon, and libsystemd
		"DATA \r\nOK 12\r\n":                "",
		"OK 12\r\nOK 12\r\n":                "", // libsystemd of old
		"OK 12\r\nERROR\r\n":                "", // who takes us at once
		"REJECTED EXTERNAL\r\n":             `the answer is "REJECTED EXTERNAL"`,
		"DATA\r\nREJECTED\r\n":              `the answer is "DATA, REJECTED"`,
		"ERROR\r\nERROR \"what?\"\r\n":      `the answer is "ERROR, ERROR \"what?\""`,
		"DATA\r\nAGREE_UNIX_FD\r\n":         `the answer is "DATA, AGREE_UNIX_FD"`,
		"DATA\r\n":                          "unexpected EOF",
		"DATA":                              "unexpected EOF",
		"":                                  "unexpected EOF",
		strings.Repeat("x", 1<<16) + "\r\n": "a line is longer than 4096 bytes",
	} {
		var out strings.Builder
		err := authenticate(&out, bufio.NewReaderSize(strings.NewReader(answers), inBuffer))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), "authenticate: ") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", answers, err, want)
		}
		if out.String() != "\x00AUTH EXTERNAL\r\nDATA\r\n" {
			t.Errorf("said %q", out.String())
		}
	}
}

// TestSilentServer: one who accepts and says nothing ends with the context, also
// after he has let us in.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, says := range []string{"", "DATA\r\nOK 12\r\n"} {
			ours, theirs := net.Pipe()
			go io.WriteString(theirs, says)
			go io.Copy(io.Discard, theirs)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			begun := time.Now()
			if c, err := New(ctx, ours, Options{}); c != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
				t.Errorf("%q: %v after %v", says, err, time.Since(begun))
			}
			cancel()
			theirs.Close()
		}
	})
}

// TestSerials: none is 0, and none is one that is not answered.
func TestSerials(t *testing.T) {
	c := &Conn{calls: map[uint32]*Call{}, serial: 1<<32 - 2}
	calls := []*Call{call("a"), call("b"), call("c")}
	c.calls[1] = call("long ago")
	if err := c.number(calls); err != nil || calls[0].serial != 1<<32-1 || calls[1].serial != 2 || calls[2].serial != 3 {
		t.Errorf("%d %d %d, %v", calls[0].serial, calls[1].serial, calls[2].serial, err)
	}
}
