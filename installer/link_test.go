// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"usbagent/internal/systembus"
	"usbagent/test/raucbench"
)

// connections is how many there are on the bus beside those of the test.
func connections(t *testing.T, bus *raucbench.Bus, own int) int {
	t.Helper()
	conn, err := bus.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var names []string
	if err := conn.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names); err != nil {
		t.Fatal(err)
	}
	n := -own - 1
	for _, name := range names {
		if strings.HasPrefix(name, ":") {
			n++
		}
	}
	return n
}

// TestKeptConnection: questions that follow closely share a connection, and an
// idle daemon holds none.
func TestKeptConnection(t *testing.T) {
	bus, _, r := newFake(t)
	cut := relayed(t, r)
	ask := func() *connection {
		t.Helper()
		if _, err := r.System(soon(t)); err != nil {
			t.Fatal(err)
		}
		r.spare.mu.Lock()
		defer r.spare.mu.Unlock()
		return r.spare.conn
	}
	first := ask()
	r.machine.ShuttingDown(soon(t))
	if first == nil || ask() != first || connections(t, bus, 1) != 1 {
		t.Errorf("%d connections, want one that is kept", connections(t, bus, 1))
	}
	time.Sleep(KeptFor + time.Second)
	if n := connections(t, bus, 1); n != 0 {
		t.Errorf("%d connections after KeptFor", n)
	}
	first = ask()
	cut() // the bus is restarted
	for first.Connected() {
		time.Sleep(time.Millisecond)
	}
	if second := ask(); second == nil || second == first {
		t.Error("a dead connection was kept")
	}
}

// relayed has r reach its bus through a relay, and returns what cuts the
// connections that there are.
func relayed(t *testing.T, r *RAUC) (cut func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	bus := strings.TrimPrefix(r.o.BusAddress, "unix:path=")
	r.o.BusAddress, r.machine.o.BusAddress = "unix:path="+path, "unix:path="+path
	ends := make(chan net.Conn, 100)
	pipe := func(to, from net.Conn) {
		io.Copy(to, from)
		to.Close()
	}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", bus)
			if err != nil {
				near.Close()
				return
			}
			ends <- near
			go pipe(near, far)
			go pipe(far, near)
		}
	}()
	return func() {
		for len(ends) > 0 {
			(<-ends).Close()
		}
	}
}

// silence is an object that answers when the test has ended.
type silence struct{ ended chan struct{} }

func (s silence) Wait() (string, *dbus.Error) { <-s.ended; return "", nil }

// unanswered returns questions to RAUC's connection that are not answered in time.
func unanswered(t *testing.T, fake *raucbench.Fake, s *session) func() *question {
	t.Helper()
	quiet := silence{make(chan struct{})}
	t.Cleanup(func() { close(quiet.ended) })
	if err := fake.Conn.Export(quiet, "/silence", "test.Silence"); err != nil {
		t.Fatal(err)
	}
	return func() *question {
		return &question{object: systembus.Object{Name: s.rauc.Name, Path: "/silence"}, method: "test.Silence.Wait", results: []any{new(string)}}
	}
}

// TestNotKept: where an answer is outstanding, or signals come, the connection
// is closed.
func TestNotKept(t *testing.T) {
	bus, fake, r := newFake(t)
	r.limits.call = 200 * time.Millisecond
	for name, use := range map[string]func(context.Context, *session){
		"no answer": func(ctx context.Context, s *session) { s.askAll(ctx, unanswered(t, fake, s)()) },
		"the end": func(ctx context.Context, s *session) {
			ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			s.askAll(ctx, unanswered(t, fake, s)())
		},
		"signals": func(ctx context.Context, s *session) { s.subscribe(ctx) },
	} {
		s, err := r.dial(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		use(soon(t), s)
		s.close()
		r.spare.mu.Lock()
		kept := r.spare.conn
		r.spare.mu.Unlock()
		if kept != nil {
			t.Errorf("%s: the connection was kept", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := r.dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-s.Done() // who uses it does not outlive its context
	s.close()
	for i := 0; connections(t, bus, 1) != 0; i++ {
		if i == 100 {
			t.Fatal("connections are left")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestSharedConnection: who asks at the same time shares one connection, but
// nobody the one on which signals come, and the last one leaves it to be kept.
func TestSharedConnection(t *testing.T) {
	bus, _, r := newFake(t)
	dial := func() *session {
		t.Helper()
		s, err := r.dial(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := dial(), dial()
	if a.connection != b.connection || connections(t, bus, 1) != 1 {
		t.Errorf("two at once have %d connections", connections(t, bus, 1))
	}
	if err := b.subscribe(soon(t)); err != nil {
		t.Fatal(err)
	}
	c := dial()
	if c.connection == b.connection {
		t.Error("a connection with somebody's signals was shared")
	}
	if _, err := a.slots(soon(t)); err != nil {
		t.Errorf("a connection with somebody else's signals: %v", err)
	}
	a.close()
	if _, err := b.slots(soon(t)); err != nil {
		t.Errorf("after another had done with the connection: %v", err)
	}
	b.close()
	c.close()
	if d := dial(); d.connection != c.connection || connections(t, bus, 1) != 1 {
		t.Errorf("%d connections are left, want the one that was not spoilt", connections(t, bus, 1))
	}
}

// TestNameChangesHands: what was found out about RAUC's name on a connection
// that is kept does not count for who has the name next.
func TestNameChangesHands(t *testing.T) {
	bus, fake, r := newFake(t)
	if _, err := r.System(soon(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := fake.Conn.ReleaseName(raucName); err != nil {
		t.Fatal(err)
	}
	conn, err := bus.DialAs(65534)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stranger, err := raucbench.NewFake(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.System(soon(t)); !errors.Is(err, ErrDistrusted) || len(stranger.Calls()) != 0 {
		t.Errorf("System = %v after calls %v, want ErrDistrusted", err, stranger.Calls())
	}
}

// TestAskAll: one question's error is its own, and no answer ends the waiting
// for all.
func TestAskAll(t *testing.T) {
	_, fake, r := newFake(t)
	r.limits.call = 300 * time.Millisecond
	s, err := r.dial(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	property := func(name string) *question { return s.question(s.rauc.Name, raucPath, raucInterface, name) }
	good, wrong := property("Compatible"), &question{object: s.rauc, method: raucInterface + ".Nothing"}
	mistyped := &question{object: s.rauc, method: raucInterface + ".GetPrimary", results: []any{new(uint32)}}
	s.askAll(soon(t), wrong, mistyped, good)
	if wrong.err == nil || mistyped.err == nil || good.err != nil || good.value() != raucbench.Compatible || s.spoilt {
		t.Errorf("%v, %v, %v %v, spoilt %v", wrong.err, mistyped.err, good.err, good.value(), s.spoilt)
	}
	quiet := unanswered(t, fake, s)
	var lost []*question
	for range 20 {
		lost = append(lost, quiet())
	}
	start := time.Now()
	s.askAll(soon(t), lost...)
	for _, q := range lost {
		if !errors.Is(q.err, context.DeadlineExceeded) {
			t.Errorf("%v, want the end of CallTimeout", q.err)
		}
	}
	if took := time.Since(start); took > 10*r.limits.call || !s.spoilt {
		t.Errorf("waited %v, spoilt %v", took, s.spoilt)
	}
	s.Close()
	q := property("Compatible")
	if s.askAll(soon(t), q); !errors.Is(q.err, systembus.ErrClosed) {
		t.Errorf("on a closed connection: %v", q.err)
	}
}
