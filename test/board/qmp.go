// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// monitor is one connection to QEMU's machine protocol (docs/interop/qmp-spec
// in QEMU's tree). Its methods may be called from several goroutines.
type monitor struct {
	conn    net.Conn
	send    sync.Mutex
	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan qmpMessage
	closed  bool
	// events gets every event; it is closed when QEMU has gone.
	events chan qmpMessage
}

type qmpMessage struct {
	ID     *uint64         `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// MonitorTimeout bounds one command to QEMU, which answers at once but shares
// this machine with other work.
const MonitorTimeout = 60 * time.Second

var errMonitorClosed = errors.New("QEMU has ended")

// dialMonitor connects to QEMU's socket as soon as QEMU has made it.
func dialMonitor(ctx context.Context, path string) (*monitor, error) {
	conn, err := dialUnix(ctx, path)
	if err != nil {
		return nil, err
	}
	m := &monitor{conn: conn, waiting: map[uint64]chan qmpMessage{}, events: make(chan qmpMessage, 1024)}
	go m.read()
	if err := m.do("qmp_capabilities", nil, nil); err != nil {
		conn.Close()
		return nil, err
	}
	return m, nil
}

// dialUnix tries until the socket is there or ctx ends.
func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "unix", path)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to %s: %w", path, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// read hands answers to who waits for them and events to the channel.
func (m *monitor) read() {
	in := bufio.NewReader(m.conn)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		var msg qmpMessage
		if json.Unmarshal(line, &msg) != nil {
			continue
		}
		if msg.Event != "" {
			select {
			case m.events <- msg:
			default: // nobody listens on this connection
			}
			continue
		}
		if msg.ID == nil {
			continue
		}
		m.mu.Lock()
		ch := m.waiting[*msg.ID]
		delete(m.waiting, *msg.ID)
		m.mu.Unlock()
		if ch != nil {
			ch <- msg
		}
	}
	m.mu.Lock()
	m.closed = true
	for _, ch := range m.waiting {
		close(ch)
	}
	m.waiting = nil
	m.mu.Unlock()
	close(m.events)
}

// do runs a command and decodes its answer into result, which may be nil.
func (m *monitor) do(name string, arguments map[string]any, result any) error {
	ch := make(chan qmpMessage, 1)
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return fmt.Errorf("%s: %w", name, errMonitorClosed)
	}
	m.next++
	id := m.next
	m.waiting[id] = ch
	m.mu.Unlock()
	command := map[string]any{"execute": name, "id": id}
	if arguments != nil {
		command["arguments"] = arguments
	}
	text, err := json.Marshal(command)
	if err != nil {
		return err
	}
	m.send.Lock()
	_, err = m.conn.Write(append(text, '\n'))
	m.send.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	select {
	case msg, ok := <-ch:
		if !ok {
			return fmt.Errorf("%s: %w", name, errMonitorClosed)
		}
		if msg.Error != nil {
			return fmt.Errorf("%s: %s", name, msg.Error.Desc)
		}
		if result != nil {
			return json.Unmarshal(msg.Return, result)
		}
		return nil
	case <-time.After(MonitorTimeout):
		return fmt.Errorf("%s: no answer in %s", name, MonitorTimeout)
	}
}

// human runs a command of QEMU's monitor for people.
func (m *monitor) human(line string) (string, error) {
	var text string
	err := m.do("human-monitor-command", map[string]any{"command-line": line}, &text)
	return text, err
}

// word reads 32 bits of the guest's physical memory: a device register.
func (m *monitor) word(address uint32) (uint32, error) {
	text, err := m.human(fmt.Sprintf("xp /1wx 0x%x", address))
	if err != nil {
		return 0, err
	}
	var at uint64
	var value uint32
	if _, err := fmt.Sscanf(text, "%x: 0x%x", &at, &value); err != nil {
		return 0, fmt.Errorf("read register %#x: %q: %w", address, text, err)
	}
	return value, nil
}

func (m *monitor) close() { m.conn.Close() }
