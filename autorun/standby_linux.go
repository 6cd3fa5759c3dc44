// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/internal/sockets"
)

// Below RunDir/script, beside the directories of the runs.
const (
	socketSuffix = ".sock"   // of the socket where a new unit's process reports
	standbyFile  = "standby" // the name of the unit that waits for a script
)

const (
	// launchPatience is how long a new unit's process may take to report: a script
	// whose start is given up is in the list, and a board that boots has other
	// things to do.
	launchPatience = 80 * time.Second

	// exitPatience is how long a supervising process may take to end that has
	// told how its script ended.
	exitPatience = 5 * time.Second

	// stopEvery is how often it is looked whether a process has stopped itself.
	stopEvery = 2 * time.Millisecond

	// wakeEvery is how often a process that waits is told to go on until it answers.
	wakeEvery = 20 * time.Millisecond
)

// errGone says that the process of a unit has ended before it had executed anything.
var errGone = errors.New("the process that was to run it is gone")

// standby is a unit whose process waits for a script. systemd takes a tenth of
// a second and more for a unit on a small board, and longer when a stick has
// just been plugged in and every block device is news to it; so the unit of the
// next script is there before the stick is. The process has stopped itself
// (SIGSTOP), since a Go program that only waits still wakes once a minute.
type standby struct {
	systemd *systemd
	unit    string
	conn    *sockets.Conn
	process *os.Process
	used    bool // it waited for a while, and may be gone
}

// Prepare makes the start of the next script fast: systemd is asked for its
// unit now, and not only when Start needs it. It returns when the unit waits, and
// does nothing where one does already, or where scripts do not become units. It
// may run beside the other methods, but not before Adopt has returned nil.
func (r *Runner) Prepare(ctx context.Context) error {
	if r.systemd == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting != nil {
		return nil
	}
	s, err := r.launch(ctx, newUnit())
	if err != nil {
		return fmt.Errorf("prepare a unit for scripts: %w", err)
	}
	s.used, r.waiting = true, s
	return nil
}

// Close ends what Prepare began. Scripts that run go on. It does not wait for a
// unit that is being made: the process of that finds nobody, and ends.
func (r *Runner) Close() {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if r.waiting != nil {
		r.waiting.dismiss() // standbyFile still names it: the next agent may find it before it has ended
	}
	r.waiting = nil
}

// newUnit returns a name that no unit has had.
func newUnit() string { return unitName(strconv.FormatInt(time.Now().UnixNano(), 36)) }

// standby returns the unit that waits, or a new one; named is called with its
// name before the unit is asked for.
func (r *Runner) standby(ctx context.Context, named func(unit string) error) (*standby, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.waiting; s != nil {
		r.waiting = nil
		return s, named(s.unit)
	}
	name := newUnit()
	if err := named(name); err != nil {
		return nil, err
	}
	return r.launch(ctx, name)
}

// launch starts the unit name and waits for its process to report.
func (r *Runner) launch(ctx context.Context, name string) (*standby, error) {
	parent, err := makeParent(r.runDir)
	if err != nil {
		return nil, err
	}
	old, _ := filepath.Glob(filepath.Join(parent, "*"+socketSuffix)) // of an agent that was killed
	for _, path := range old {
		os.Remove(path)
	}
	socket := filepath.Join(parent, wordOfUnit(name)+socketSuffix)
	listener, err := listenAt(socket)
	if err != nil {
		return nil, err
	}
	defer os.Remove(socket)
	defer listener.Close()
	s := &standby{systemd: r.systemd, unit: name}
	if err := os.WriteFile(filepath.Join(parent, standbyFile), []byte(name), 0o600); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, launchPatience)
	defer cancel()
	if err := r.systemd.start(ctx, s.unit, socket); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { listener.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if s.conn, err = listener.Accept(); err == nil {
		s.process, err = peer(s.conn)
	}
	if err == nil {
		err = awaitStop(ctx, s.process.Pid)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: its process did not report: %w", s.unit, err), r.systemd.stop(s.unit))
	}
	return s, nil
}

// peer returns the process at the other end, which is root's.
func peer(conn *sockets.Conn) (*os.Process, error) {
	who, err := conn.Peer()
	if err != nil {
		return nil, err
	}
	if int(who.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("process %d belongs to user %d", who.Pid, who.Uid)
	}
	return os.FindProcess(int(who.Pid))
}

// awaitStop waits until the process has stopped itself: SIGCONT does nothing
// before.
func awaitStop(ctx context.Context, pid int) error {
	for {
		fields, err := processFields(pid)
		if err != nil || fields[0] == "T" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(stopEvery):
		}
	}
}

// dismiss lets the process go: it finds nobody at the other end.
func (s *standby) dismiss() {
	s.conn.Close()
	s.process.Signal(unix.SIGCONT)
	s.process.Release()
}

// abandon ends the process at once: it must not find the record of a start that
// has failed.
func (s *standby) abandon() {
	s.process.Kill()
	s.process.Release()
	s.conn.Close()
}

// run has the process run the script whose private directory is dir. From the
// moment that it was told, the script may run, and may have stopped the agent:
// then the end of ctx is no error. It returns errGone where nothing was executed
// and another unit may be tried.
func (s *standby) run(ctx context.Context, dir string) (life, error) {
	os.Remove(filepath.Join(filepath.Dir(dir), standbyFile))
	u := &unit{session: session{dir: dir}, systemd: s.systemd, name: s.unit}
	control, err := listen(dir)
	if err != nil {
		s.abandon()
		return nil, err
	}
	defer control.Close()
	defer s.process.Release()
	if err := s.conn.SendFile([]byte(filepath.Base(dir)+"\n"), control); err != nil {
		s.conn.Close()
		return nil, errors.Join(errGone, err)
	}
	u.use(s.conn)
	for {
		s.process.Signal(unix.SIGCONT)
		s.conn.SetReadDeadline(time.Now().Add(wakeEvery))
		line, err := u.line()
		switch {
		case err == nil && line == string(tagStarted), ctx.Err() != nil:
			return u, nil
		case err == nil:
			end, _ := u.ending(line)
			u.close()
			return nil, fmt.Errorf("%w: %s", ErrNotStarted, end.NotStarted)
		case errors.Is(err, os.ErrDeadlineExceeded):
		case wasExecuted(dir):
			return u, nil
		default:
			u.close()
			return nil, errGone
		}
	}
}

// unit is a script that runs in a unit of its own.
type unit struct {
	session
	systemd *systemd
	name    string
}

func (u *unit) wait(ctx context.Context, output func(string)) (ending, error) {
	for {
		end, err := u.session.wait(ctx, output)
		if err == nil && end.TimedOut {
			u.systemd.kill(u.name, "all", unix.SIGKILL) // children that left the script's process group
		}
		if err != nil || !end.Unknown || !u.coming(ctx) {
			return end, err
		}
		select {
		case <-ctx.Done():
			return ending{}, ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

// coming reports whether the unit is there though nobody listens: systemd may
// start it only when the agent that asked for it has stopped (After=).
func (u *unit) coming(ctx context.Context) bool {
	there, err := u.systemd.look(ctx, u.name)
	return err == nil && there != nil && !there.ended()
}

// release lets the supervising process go, which has nothing left to do, and waits
// for its end: the next agent must not take it for a script.
func (u *unit) release() error {
	if u.conn != nil {
		u.conn.CloseWrite()
		u.conn.SetReadDeadline(time.Now().Add(exitPatience))
		io.Copy(io.Discard, u.reader)
	}
	return u.session.release()
}

// adopt has the process go on, if an earlier agent told it what to run and
// ended before it could say so.
func (u *unit) adopt() { u.systemd.kill(u.name, "main", unix.SIGCONT) }

// awaitOrder is the other side of run: it reports to the agent that listens at
// the path socket, stops this process, and returns the directory of the run and
// the socket on which later agents are to be served. Where the agent has gone, a
// record may name this unit all the same: the start is in the list of executed
// scripts then, and this is the only one that can still keep the promise. Else
// there is nothing to do, and dir is empty.
func awaitOrder(socket string) (dir string, control *os.File, agent *sockets.Conn) {
	agent, err := dialAt(socket)
	if err == nil {
		// What package os finds out once, by starting a process, and what the
		// collector has to do, is not left for later.
		if p, err := os.FindProcess(os.Getpid()); err == nil {
			p.Release()
		}
		haveThreads(spareThreads)
		debug.FreeOSMemory()
		unix.Kill(os.Getpid(), unix.SIGSTOP)
		if dir, control, err = takeOrder(agent, filepath.Dir(socket)); err == nil {
			return dir, control, agent
		}
	}
	unit := unitName(strings.TrimSuffix(filepath.Base(socket), socketSuffix))
	runs, _ := filepath.Glob(filepath.Join(filepath.Dir(socket), "*", recordFile))
	for _, path := range runs {
		dir := filepath.Dir(path)
		if r, err := readRecord(dir); err != nil || r.Unit != unit {
			continue
		}
		os.Remove(filepath.Join(dir, controlFile))
		if control, err = listen(dir); err == nil {
			return dir, control, nil
		}
	}
	return "", nil, nil
}

// spareThreads is how many threads the Go runtime begins between the order and the
// script. On one core a new thread waits for its turn, a millisecond behind each of
// udev, systemd and the journal.
const spareThreads = 4

// haveThreads has the runtime begin n threads, which it keeps for later.
func haveThreads(n int) {
	var all, over sync.WaitGroup
	all.Add(n)
	for range n {
		over.Go(func() {
			runtime.LockOSThread() // so that none can stand in for another
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
		})
	}
	over.Wait()
}

// takeOrder reads what standby.run writes.
func takeOrder(agent *sockets.Conn, parent string) (dir string, control *os.File, err error) {
	order := make([]byte, 128)
	n, control, err := agent.ReceiveFile(order)
	if err != nil {
		return "", nil, err
	}
	id, whole := strings.CutSuffix(string(order[:n]), "\n")
	if !whole || !validID(id) {
		control.Close()
		return "", nil, errors.New("not an order")
	}
	return filepath.Join(parent, id), control, nil
}
