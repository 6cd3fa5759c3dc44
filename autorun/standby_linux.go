// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Below RunDir/script, beside the directories of the runs.
const (
	socketSuffix = ".sock"   // of the socket where a new unit's process reports
	standbyFile  = "standby" // the name of the unit that waits for a script
)

const (
	// launchPatience is how long a new unit's process may take to report; a
	// board that boots has other things to do.
	launchPatience = 20 * time.Second

	// wakeEvery is how often a process that waits is told to go on until it
	// answers: the first time may be before it has stopped.
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
	conn    *net.UnixConn
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
	s, err := r.launch(ctx)
	if err != nil {
		return fmt.Errorf("prepare a unit for scripts: %w", err)
	}
	s.used, r.waiting = true, s
	return nil
}

// Close ends what Prepare began. Scripts that run go on.
func (r *Runner) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting != nil {
		os.Remove(filepath.Join(r.runDir, scriptDir, standbyFile))
		r.waiting.dismiss()
	}
	r.waiting = nil
}

// standby returns the unit that waits, or a new one.
func (r *Runner) standby(ctx context.Context) (*standby, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.waiting
	r.waiting = nil
	if s != nil {
		return s, nil
	}
	return r.launch(ctx)
}

// launch starts a unit and waits for its process to report.
func (r *Runner) launch(ctx context.Context) (*standby, error) {
	parent, err := makeParent(r.runDir)
	if err != nil {
		return nil, err
	}
	old, _ := filepath.Glob(filepath.Join(parent, "*"+socketSuffix)) // of an agent that was killed
	for _, path := range old {
		os.Remove(path)
	}
	word := strconv.FormatInt(time.Now().UnixNano(), 36)
	socket := filepath.Join(parent, word+socketSuffix)
	listener, err := listenAt(socket)
	if err != nil {
		return nil, err
	}
	defer os.Remove(socket)
	defer listener.Close()
	s := &standby{systemd: r.systemd, unit: unitName(word)}
	if err := os.WriteFile(filepath.Join(parent, standbyFile), []byte(s.unit), 0o600); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, launchPatience)
	defer cancel()
	if err := r.systemd.start(ctx, s.unit, socket); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { listener.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if s.conn, err = listener.AcceptUnix(); err == nil {
		s.process, err = peer(s.conn)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: its process did not report: %w", s.unit, err), r.systemd.stop(s.unit))
	}
	return s, nil
}

// peer returns the process at the other end, which is root's (unix(7), SO_PEERCRED).
func peer(conn *net.UnixConn) (*os.Process, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var who *unix.Ucred
	if e := raw.Control(func(fd uintptr) { who, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	if int(who.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("process %d belongs to user %d", who.Pid, who.Uid)
	}
	return os.FindProcess(int(who.Pid))
}

// dismiss lets the process go: it finds nobody at the other end.
func (s *standby) dismiss() {
	s.conn.Close()
	s.process.Signal(unix.SIGCONT)
	s.process.Release()
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
		s.dismiss()
		return nil, err
	}
	defer control.Close()
	defer s.process.Release()
	if _, _, err := s.conn.WriteMsgUnix([]byte(filepath.Base(dir)+"\n"), unix.UnixRights(int(control.Fd())), nil); err != nil {
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
	end, err := u.session.wait(ctx, output)
	if err == nil && end.TimedOut {
		u.systemd.kill(u.name, "all", unix.SIGKILL) // children that left the script's process group
	}
	return end, err
}

// adopt has the process go on, if an earlier agent told it what to run and
// ended before it could say so.
func (u *unit) adopt() { u.systemd.kill(u.name, "main", unix.SIGCONT) }

// awaitOrder is the other side of run: it reports to the agent that listens at
// the path socket, stops this process, and returns the directory of the run and
// the socket on which later agents are to be served. Without an order there is
// nothing to do: dir is empty.
func awaitOrder(socket string) (dir string, control *os.File, agent *net.UnixConn) {
	agent, err := dialAt(socket)
	if err != nil {
		return "", nil, nil
	}
	unix.Kill(os.Getpid(), unix.SIGSTOP)
	order, rights := make([]byte, 128), make([]byte, unix.CmsgSpace(4))
	n, m, _, _, err := agent.ReadMsgUnix(order, rights)
	if err != nil || n == 0 {
		return "", nil, nil
	}
	id, whole := strings.CutSuffix(string(order[:n]), "\n")
	control, err = received(rights[:m])
	if err != nil || !whole || !validID.MatchString(id) {
		return "", nil, nil
	}
	return filepath.Join(filepath.Dir(socket), id), control, agent
}

// received takes the one descriptor out of a control message (unix(7), SCM_RIGHTS).
func received(rights []byte) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil && len(fds) == 1 {
			unix.CloseOnExec(fds[0])
			return os.NewFile(uintptr(fds[0]), "agent socket"), nil
		}
	}
	return nil, errors.New("no socket came with the order")
}
