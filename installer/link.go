// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"sync"
	"time"

	"usbagent/internal/systembus"
)

// KeptFor is how long a connection to the bus that nobody uses is kept. What is
// asked about one image follows closely, and each new connection costs a
// greeting of five rounds, and the bus tells systemd and others of it.
const KeptFor = 2 * time.Second

// link is one connection to the bus.
type link struct {
	*connection
	loosen func() bool // unties it from its user's context
}

// connection is what the links share that are in use at the same time.
type connection struct {
	*systembus.Conn
	watch *watch

	mu     sync.Mutex
	users  int             // guarded by spare.mu
	roots  map[string]bool // the unique names that root has on this bus
	spoilt bool            // a call was not answered, or signals were asked for: nobody else is to use it
}

// spoil keeps others from using the connection.
func (c *connection) spoil() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoilt = true
}

func (c *connection) isSpoilt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spoilt
}

// isRoots reports whether root has the unique name, as far as is known.
func (c *connection) isRoots(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.roots[name]
}

// setRoots remembers a name of root's: a unique name is never given to another.
func (c *connection) setRoots(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.roots[name] = true
}

// spare has at most one connection for all who ask at the same time, and keeps
// it for KeptFor after the last one.
type spare struct {
	mu    sync.Mutex
	conn  *connection
	timer *time.Timer // ends conn; stopped while it is in use
}

// open returns the connection that there is, or a new one. It ends with ctx
// unless it was given back before.
func (s *spare) open(ctx context.Context, address string, timeout time.Duration) (*link, error) {
	c := s.take()
	if c == nil {
		var err error
		if c, err = connect(ctx, address, timeout); err != nil {
			return nil, err
		}
		c.users = 1
		s.offer(c)
	}
	return &link{c, context.AfterFunc(ctx, c.Close)}, nil
}

// offer has others use c from now on, unless there is another one.
func (s *spare) offer(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		s.conn, s.timer = c, nil
	}
}

// take returns the connection that there is, unless it has ended meanwhile.
func (s *spare) take() *connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conn
	if c == nil {
		return nil
	}
	if c.isSpoilt() || !c.Connected() {
		s.forget()
		if c.users == 0 {
			c.Close()
		}
		return nil
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	c.users++
	return c
}

// forget keeps nothing; s.mu is held.
func (s *spare) forget() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.conn, s.timer = nil, nil
}

// giveBack ends the use of l, whose connection is kept where nobody spoilt it.
func (s *spare) giveBack(l *link) {
	tied := l.loosen()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := l.connection
	c.users--
	if !tied {
		c.spoil()
	}
	switch {
	case c.users > 0:
		return
	case s.conn != c, c.isSpoilt(), !c.Connected():
		if s.conn == c {
			s.forget()
		}
		c.Close()
		return
	}
	s.timer = time.AfterFunc(KeptFor, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.conn == c && c.users == 0 {
			s.forget()
			c.Close()
		}
	})
}
