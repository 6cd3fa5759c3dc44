// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// KeptFor is how long a connection to the bus that nobody uses is kept. What is
// asked about one image follows closely, and each new connection costs a
// greeting of five rounds, and the bus tells systemd and others of it.
const KeptFor = 2 * time.Second

// link is one connection to the bus. Only one at a time uses it.
type link struct {
	*dbus.Conn
	wire  *wire
	watch *watch
	// roots are the unique names that root has on this bus.
	roots map[string]bool
	// spoilt: a call was not answered, or signals were asked for. It is closed
	// after its use.
	spoilt bool

	end    context.CancelFunc
	loosen func() bool // unties it from its user's context
}

// spare keeps at most one connection, and none for longer than KeptFor.
type spare struct {
	mu    sync.Mutex
	link  *link
	timer *time.Timer
}

// open returns the connection that was kept, or a new one. It ends with ctx
// unless it was given back before.
func (s *spare) open(ctx context.Context, address string, timeout time.Duration) (*link, error) {
	l := s.take()
	if l == nil {
		free, end := context.WithCancel(context.WithoutCancel(ctx))
		stop := context.AfterFunc(ctx, end)
		var err error
		if l, err = connect(free, address, timeout); err != nil {
			end()
			return nil, err
		}
		stop()
		l.end = end
	}
	l.loosen = context.AfterFunc(ctx, l.end)
	return l, nil
}

// take returns the connection that was kept, unless it has ended meanwhile.
func (s *spare) take() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.link
	if l == nil {
		return nil
	}
	s.timer.Stop()
	if s.link = nil; !l.Connected() {
		l.end()
		return nil
	}
	return l
}

// giveBack ends the use of l, which is kept where there is room.
func (s *spare) giveBack(l *link) {
	tied := l.loosen()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !tied || l.spoilt || s.link != nil || !l.Connected() {
		l.end()
		l.Close()
		return
	}
	s.link = l
	s.timer = time.AfterFunc(KeptFor, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.link == l {
			s.link = nil
			l.end()
		}
	})
}

// wire is the socket of a connection. What comes is read in large pieces: a
// message is decoded a few bytes at a time. What goes out can be collected.
type wire struct {
	net.Conn
	in *bufio.Reader

	mu   sync.Mutex
	held bool
	out  []byte
}

// wireBuffer is as long as all but the largest messages.
const wireBuffer = 4 << 10

func newWire(socket net.Conn) *wire {
	return &wire{Conn: socket, in: bufio.NewReaderSize(socket, wireBuffer)}
}

// Read implements io.Reader.
func (w *wire) Read(p []byte) (int, error) { return w.in.Read(p) }

// Write implements io.Writer.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held {
		w.out = append(w.out, p...)
		return len(p), nil
	}
	return w.Conn.Write(p)
}

// hold collects what is written until flush.
func (w *wire) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = true
}

// flush sends what was collected.
func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.out
	w.held, w.out = false, nil
	if len(out) == 0 {
		return nil
	}
	_, err := w.Conn.Write(out)
	return err
}
