// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"time"

	"usbagent/test/board/wire"
)

// guest is the command channel to guestd in the board.
type guest struct {
	conn    net.Conn
	send    sync.Mutex
	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan wire.Reply
	ready   chan struct{} // closed at guestd's first answer
	gone    chan struct{} // closed with the connection
}

// PingEvery is the time between two tries to reach guestd in a board that
// boots: what is sent before it listens is lost.
const PingEvery = 500 * time.Millisecond

// dialGuest connects to the board's second serial port. IDs begin at the
// time, so that answers to questions from before a snapshot fit nobody.
func dialGuest(ctx context.Context, path string) (*guest, error) {
	conn, err := dialUnix(ctx, path)
	if err != nil {
		return nil, err
	}
	g := &guest{conn: conn, waiting: map[uint64]chan wire.Reply{}, next: uint64(time.Now().UnixNano()), ready: make(chan struct{}), gone: make(chan struct{})}
	go g.read()
	go g.ping()
	return g, nil
}

// ping asks until there is an answer. The leading newline ends whatever half
// line guestd may have.
func (g *guest) ping() {
	for {
		g.send.Lock()
		_, err := g.conn.Write([]byte("\n{\"id\":0,\"op\":\"ping\"}\n"))
		g.send.Unlock()
		if err != nil {
			return
		}
		select {
		case <-g.ready:
			return
		case <-time.After(PingEvery):
		}
	}
}

func (g *guest) read() {
	in := bufio.NewReaderSize(g.conn, 1<<16)
	answered := false
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		var r wire.Reply
		if json.Unmarshal(line, &r) != nil || !r.Answer {
			continue
		}
		if !answered {
			answered = true
			close(g.ready)
		}
		g.mu.Lock()
		ch := g.waiting[r.ID]
		delete(g.waiting, r.ID)
		g.mu.Unlock()
		if ch != nil {
			ch <- r
		}
	}
	g.mu.Lock()
	for _, ch := range g.waiting {
		close(ch)
	}
	g.waiting = nil
	g.mu.Unlock()
	close(g.gone)
}

var errGuestGone = errors.New("the board has gone")

// ask sends a request and waits for its answer.
func (g *guest) ask(ctx context.Context, q wire.Request) (wire.Reply, error) {
	select {
	case <-g.ready:
	case <-g.gone:
		return wire.Reply{}, errGuestGone
	case <-ctx.Done():
		return wire.Reply{}, fmt.Errorf("%s %s%v: the board does not answer: %w", q.Op, q.Path, q.Argv, ctx.Err())
	}
	ch := make(chan wire.Reply, 1)
	g.mu.Lock()
	if g.waiting == nil {
		g.mu.Unlock()
		return wire.Reply{}, errGuestGone
	}
	g.next++
	q.ID = g.next
	g.waiting[q.ID] = ch
	g.mu.Unlock()
	text, err := json.Marshal(q)
	if err != nil {
		return wire.Reply{}, err
	}
	g.send.Lock()
	_, err = g.conn.Write(append(text, '\n'))
	g.send.Unlock()
	if err != nil {
		return wire.Reply{}, err
	}
	select {
	case r, ok := <-ch:
		if !ok {
			return r, errGuestGone
		}
		if r.Missing {
			return r, fmt.Errorf("%s %s: %w", q.Op, q.Path, fs.ErrNotExist)
		}
		if r.Error != "" {
			return r, fmt.Errorf("%s %s%v: %s", q.Op, q.Path, q.Argv, r.Error)
		}
		return r, nil
	case <-ctx.Done():
		g.mu.Lock()
		delete(g.waiting, q.ID)
		g.mu.Unlock()
		return wire.Reply{}, fmt.Errorf("%s %s%v: %w", q.Op, q.Path, q.Argv, ctx.Err())
	}
}

// write puts a small file into the guest.
func (g *guest) write(ctx context.Context, path string, data []byte, mode uint32) error {
	for offset := 0; offset == 0 || offset < len(data); offset += wire.MaxChunk {
		end := min(offset+wire.MaxChunk, len(data))
		q := wire.Request{Op: "write", Path: path, Data: data[offset:end], Offset: int64(offset), Mode: mode}
		if _, err := g.ask(ctx, q); err != nil {
			return err
		}
	}
	return nil
}
