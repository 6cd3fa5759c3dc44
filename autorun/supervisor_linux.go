// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/internal/sockets"
)

const (
	// listenerFD is the descriptor of the socket that startSession passes.
	listenerFD = 3

	// killDelay is how long after SIGTERM a script that ran too long gets
	// SIGKILL.
	killDelay = 10 * time.Second

	// agentPatience is how long an agent may leave the socket full before
	// its lines are kept for the next one.
	agentPatience = 5 * time.Second

	// maxKept is how many bytes of output are kept while no agent listens;
	// the oldest lines go first.
	maxKept = 256 << 10
)

// supervisor is the process that holds one script.
type supervisor struct {
	dir  string
	unit bool // the journal takes the script's output, and signals come to this process alone
	tell teller
	out  *outputPipe // nil in a unit
}

// supervise runs the script as the only child of this process, tells whoever
// comes to the socket control about its output and its end, and records the
// end. It stays until the last holder of the script's output is gone. In a unit
// that is the journal, and it returns the script's status for systemd to show.
func (s *supervisor) supervise(control *os.File) int {
	// Signals that are caught are reset in the child, ignored ones are not.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	heedSignals()
	if err := s.listen(control); err != nil {
		return 2
	}
	end := s.run(signals)
	if s.unit {
		hangUp()
	}
	// Before anybody is told, so that an agent that dies now finds it.
	writeJSON(filepath.Join(s.dir, exitFile), end)
	s.tell.end(end)
	if s.out != nil {
		s.drainToEnd()
	}
	s.tell.linger(agentPatience)
	if s.unit {
		s.tell.stay(agentPatience)
	}
	if s.unit && end.NotStarted == "" && end.Signal == "" {
		return end.Status
	}
	return 0
}

// hangUp closes this process's end of the journal's stream: a last line without
// a newline gets into the journal when nobody holds the stream any more, and who
// is told of the end may ask for it at once.
func hangUp() {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer null.Close()
	unix.Dup3(int(null.Fd()), 1, 0)
	unix.Dup3(int(null.Fd()), 2, 0)
}

// listen serves the agents that come, one after the other.
func (s *supervisor) listen(control *os.File) error {
	listener, err := sockets.ListenerOf(control)
	if err != nil {
		return err
	}
	control.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.tell.attach(conn)
		}
	}()
	return nil
}

// run executes the script and waits for it.
func (s *supervisor) run(signals <-chan os.Signal) ending {
	runtime.LockOSThread() // see begin
	r, err := readRecord(s.dir)
	if err != nil {
		return ending{NotStarted: err.Error()}
	}
	cmd, err := s.start(r)
	if err != nil {
		return ending{NotStarted: err.Error()}
	}
	s.tell.started()
	if s.unit {
		go forward(signals, cmd.Process)
	}
	end := s.await(cmd, r.Timeout)
	if s.out != nil {
		s.out.catchUp()
	}
	return end
}

// start executes the shell, with the journal or a pipe for its output.
func (s *supervisor) start(r record) (*exec.Cmd, error) {
	cmd, root, err := shellCommand(s.dir, r)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var out *outputPipe
	child := os.Stdout
	if !s.unit {
		if out, child, err = newOutputPipe(s.tell.line); err != nil {
			return nil, err
		}
		defer child.Close()
	}
	cmd.Stdout, cmd.Stderr = child, child
	if err := os.WriteFile(filepath.Join(s.dir, markFile), nil, 0o600); err != nil {
		return nil, err
	}
	if cmd, err = begin(cmd); err != nil {
		return nil, err
	}
	if out != nil {
		s.out = out
		go out.follow()
	}
	return cmd, nil
}

// forward hands SIGTERM on: systemd sends it to a unit's main process alone
// (KillMode=process), when the unit is stopped or the system goes down. (In a
// session the script gets its own.)
func forward(signals <-chan os.Signal, to *os.Process) {
	for sig := range signals {
		if sig == syscall.SIGTERM {
			to.Signal(sig)
		}
	}
}

// await waits for the script, but no longer than timeout unless that is 0.
func (s *supervisor) await(cmd *exec.Cmd, timeout time.Duration) ending {
	var timedOut atomic.Bool
	stop := func() {}
	if timeout > 0 {
		var late *time.Timer
		var mu sync.Mutex
		first := time.AfterFunc(timeout, func() {
			mu.Lock()
			defer mu.Unlock()
			timedOut.Store(true)
			unix.Kill(-cmd.Process.Pid, unix.SIGTERM)
			late = time.AfterFunc(killDelay, func() { unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
		})
		stop = func() {
			mu.Lock()
			defer mu.Unlock()
			first.Stop()
			if late != nil {
				late.Stop()
			}
		}
	}
	err := cmd.Wait()
	stop()
	if timedOut.Load() {
		unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // the children that are left
	}
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return ending{Exit: Exit{Unknown: true}}
	}
	if end := neverExecuted(s.dir); end.NotStarted != "" {
		return end
	}
	exit := exitOf(cmd.ProcessState.Sys().(syscall.WaitStatus))
	exit.TimedOut = timedOut.Load()
	return ending{Exit: exit}
}

func exitOf(status syscall.WaitStatus) Exit {
	if status.Signaled() {
		return Exit{Signal: signalName(int(status.Signal()))}
	}
	return Exit{Status: status.ExitStatus()}
}

// signalName returns a name such as SIGTERM.
func signalName(number int) string {
	if name := unix.SignalName(syscall.Signal(number)); name != "" {
		return name
	}
	return "signal " + itoa(number)
}

// drainToEnd follows the output of background children that the script left.
func (s *supervisor) drainToEnd() { <-s.out.done }

// teller passes lines to syslog, where there is one, and to the agent; while
// there is no agent it keeps the newest.
type teller struct {
	mu     sync.Mutex
	log    *syslog
	agent  *sockets.Conn
	kept   []string
	size   int
	ending []byte // told to every agent once the script has ended
}

// started tells that the shell was executed, to the agent that is there.
func (t *teller) started() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.send(string(rune(tagStarted)) + "\n")
}

// line tells one line of output.
func (t *teller) line(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.syslog(text)
	frame := string(rune(tagOutput)) + text + "\n"
	if t.send(frame) {
		return
	}
	t.kept = append(t.kept, frame)
	t.size += len(frame)
	for t.size > maxKept {
		t.size -= len(t.kept[0])
		t.kept = t.kept[1:]
	}
}

// linger waits until an agent has taken the lines that were kept: the one that
// started a short script may not have come yet.
func (t *teller) linger(patience time.Duration) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		t.mu.Lock()
		told := len(t.kept) == 0
		t.mu.Unlock()
		if told {
			return
		}
	}
}

// stay waits until the agent that was told of the end lets go: the end of a unit
// is work for systemd, which the agent may have better things for.
func (t *teller) stay(patience time.Duration) {
	t.mu.Lock()
	agent := t.agent
	t.mu.Unlock()
	if agent != nil {
		agent.SetReadDeadline(time.Now().Add(patience))
		io.Copy(io.Discard, agent)
	}
}

// syslog writes to the local log daemon, which may start later than the script.
func (t *teller) syslog(text string) {
	if t.log == nil {
		t.log = dialSyslog()
	}
	if t.log != nil && t.log.write(text) != nil {
		t.log.conn.Close()
		if t.log = dialSyslog(); t.log != nil { // it was restarted
			t.log.write(text)
		}
	}
}

// send reports whether the agent took the frame.
func (t *teller) send(frame string) bool {
	if t.agent == nil {
		return false
	}
	t.agent.SetWriteDeadline(time.Now().Add(agentPatience))
	if _, err := t.agent.Write([]byte(frame)); err != nil {
		t.agent.Close()
		t.agent = nil
		return false
	}
	return true
}

// attach makes conn the agent, in place of the one before.
func (t *teller) attach(conn *sockets.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.agent != nil {
		t.agent.Close()
	}
	t.agent = conn
	for len(t.kept) > 0 && t.send(t.kept[0]) {
		t.size -= len(t.kept[0])
		t.kept = t.kept[1:]
	}
	if t.ending != nil {
		t.send(string(t.ending))
	}
}

// end tells how the script ended.
func (t *teller) end(e ending) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ending = endFrame(e)
	t.send(string(t.ending))
}
