// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// Socket is what a connection talks through.
type Socket interface {
	io.ReadWriteCloser
	SetWriteDeadline(time.Time) error
}

// Options of a connection.
type Options struct {
	// Signals, unless nil, is called with each signal that comes, in the
	// connection's goroutine: while it does not return, nothing else comes.
	Signals func(*Signal)
	// Peer says that no bus is at the other end, but a service's own socket,
	// which knows no Hello.
	Peer bool
}

// Conn is a connection. Its methods may be called by several goroutines at the
// same time. It lasts until Close, or until the other end ends it.
type Conn struct {
	socket  Socket
	in      *bufio.Reader
	signals func(*Signal)
	name    string        // ours on the bus
	writing chan struct{} // has an element while somebody writes
	done    chan struct{} // closed when it has ended

	mu     sync.Mutex
	serial uint32
	calls  map[uint32]*Call // not answered yet
	err    error            // why it has ended
}

// inBuffer is as long as all but the largest messages. Each read is a system call.
const inBuffer = 4 << 10

// New makes a connection of a socket, which is its own from then on: it is closed
// where New fails. ctx bounds the beginning, not the connection.
func New(ctx context.Context, socket Socket, o Options) (*Conn, error) {
	c := &Conn{
		socket: socket, in: bufio.NewReaderSize(socket, inBuffer), signals: o.Signals,
		writing: make(chan struct{}, 1), done: make(chan struct{}), calls: map[uint32]*Call{},
	}
	stop := context.AfterFunc(ctx, func() { c.end(ctx.Err()) })
	err := c.begin(ctx, o.Peer)
	if !stop() {
		err = ctx.Err() // and not what came of it
	}
	if err != nil {
		c.end(err)
		return nil, err
	}
	return c, nil
}

// begin authenticates, and says Hello with the last line of that.
func (c *Conn) begin(ctx context.Context, peer bool) error {
	if err := authenticate(c.socket, c.in); err != nil {
		return err
	}
	go c.read()
	if peer {
		return c.write(ctx, []byte(lineBegin))
	}
	hello := &Call{Object: Bus, Method: Bus.Name + ".Hello"}
	if err := c.send(ctx, []byte(lineBegin), hello); err != nil {
		return err
	}
	if err := c.Wait(ctx, hello); err != nil {
		return err
	}
	return hello.Store(&c.name)
}

// Name is the unique name on the bus.
func (c *Conn) Name() string { return c.name }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Connected reports whether it has not.
func (c *Conn) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil
}

// Close ends the connection and all calls that are not answered.
func (c *Conn) Close() { c.end(nil) }

// end is Close for a reason, which calls get to hear.
func (c *Conn) end(why error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = ErrClosed
	if why != nil {
		c.err = fmt.Errorf("%w: %w", ErrClosed, why)
	}
	calls := c.calls
	c.calls = nil
	c.mu.Unlock()
	c.socket.Close()
	close(c.done)
	for _, call := range calls {
		call.err = c.err
		close(call.done)
	}
}

// Call calls and waits for the answer, which it stores; see [Store].
func (c *Conn) Call(ctx context.Context, call *Call, results ...any) error {
	if err := c.Send(ctx, call); err != nil {
		return err
	}
	if err := c.Wait(ctx, call); err != nil {
		return err
	}
	return call.Store(results...)
}

// Send sends the calls in one piece, so that the bus and who has to answer are
// woken once. Where it fails, none will be answered.
func (c *Conn) Send(ctx context.Context, calls ...*Call) error { return c.send(ctx, nil, calls...) }

// send is Send, with what has to go before.
func (c *Conn) send(ctx context.Context, out []byte, calls ...*Call) error {
	if err := c.number(calls); err != nil {
		return err
	}
	var err error
	for _, call := range calls {
		if err == nil {
			out, err = appendCall(out, call)
		}
	}
	if err == nil {
		err = c.write(ctx, out)
	}
	if err != nil {
		c.Forget(calls...)
	}
	return err
}

// number gives each call a serial of its own, and awaits its answer.
func (c *Conn) number(calls []*Call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	for _, call := range calls {
		for c.serial++; c.serial == 0 || c.calls[c.serial] != nil; c.serial++ {
		}
		call.serial, call.done = c.serial, make(chan struct{})
		c.calls[call.serial] = call
	}
	return nil
}

// Wait waits until a call that was sent is answered, and returns its error.
func (c *Conn) Wait(ctx context.Context, call *Call) error {
	select {
	case <-call.done:
		return call.err
	case <-ctx.Done():
		c.Forget(call)
		return ctx.Err()
	}
}

// Forget drops the answers to calls, should they come.
func (c *Conn) Forget(calls ...*Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range calls {
		delete(c.calls, call.serial)
	}
}

// write writes b. Where the other end does not take it until ctx ends, the
// connection ends too: half a message may be on its way.
func (c *Conn) write(ctx context.Context, b []byte) error {
	select {
	case c.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.writing }()
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.socket.SetWriteDeadline(time.Unix(1, 0))
		close(expired)
	})
	_, err := c.socket.Write(b)
	if !stop() {
		<-expired
		c.socket.SetWriteDeadline(time.Time{}) // it was taken all the same
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	c.end(err)
	return err
}

// read takes in messages until the connection ends.
func (c *Conn) read() {
	for {
		m, err := readMessage(c.in)
		if err != nil {
			c.end(err)
			return
		}
		switch m.kind {
		case kindReturn, kindError:
			c.answer(m)
		case kindSignal:
			c.signal(m)
		}
	}
}

// answer ends the call that m answers.
func (c *Conn) answer(m *message) {
	c.mu.Lock()
	call := c.calls[m.answers]
	delete(c.calls, m.answers)
	c.mu.Unlock()
	if call == nil {
		return
	}
	call.body, call.err = m.values()
	if m.kind == kindError {
		e := Error{Name: m.name}
		if len(call.body) > 0 {
			e.Message, _ = call.body[0].(string)
		}
		call.err = e
	}
	close(call.done)
}

// signal hands m on, unless its content is none.
func (c *Conn) signal(m *message) {
	if c.signals == nil {
		return
	}
	if body, err := m.values(); err == nil {
		c.signals(&Signal{Sender: m.sender, Path: m.path, Name: m.iface + "." + m.member, Body: body})
	}
}
