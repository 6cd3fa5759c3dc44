// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"errors"
	"log/syslog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// supervise runs the script of the run in dir as the only child of this
// process, tells whoever listens about its output and its end, and records the
// end. It stays until the last holder of the script's output is gone.
func supervise(dir string) int {
	// At a shutdown everybody gets SIGTERM; the script's end must still be
	// recorded. (Signals that are caught are reset in the child, ignored ones are not.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	heedSignals()
	s := &supervisor{dir: dir}
	if err := s.listen(); err != nil {
		return 2
	}
	end := s.run()
	// Before anybody is told, so that an agent that dies now finds it.
	writeJSON(filepath.Join(dir, exitFile), end)
	s.tell.end(end)
	if s.out != nil {
		s.drainToEnd()
	}
	s.tell.linger(agentPatience)
	return 0
}

type supervisor struct {
	dir  string
	tell teller
	out  *outputPipe
}

// listen serves the agents that come, one after the other.
func (s *supervisor) listen() error {
	listener, err := net.FileListener(os.NewFile(listenerFD, "agent socket"))
	if err != nil {
		return err
	}
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
func (s *supervisor) run() ending {
	r, err := readRecord(s.dir)
	if err != nil {
		return ending{NotStarted: err.Error()}
	}
	out, child, err := newOutputPipe(s.tell.line)
	if err != nil {
		return ending{NotStarted: err.Error()}
	}
	cmd := exec.Command("/proc/self/exe", SupervisorCommand, "exec", s.dir)
	cmd.Args[0] = "usbagent"
	cmd.Env = []string{}
	cmd.Stdout, cmd.Stderr = child, child
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	child.Close()
	if err != nil {
		return ending{NotStarted: err.Error()}
	}
	s.out = out
	go out.follow()
	end := s.await(cmd, r.Timeout)
	out.catchUp()
	return end
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
	log    *syslog.Writer
	agent  net.Conn
	kept   []string
	size   int
	ending []byte // told to every agent once the script has ended
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

// syslog writes to the local log daemon, which may start later than the script.
func (t *teller) syslog(text string) {
	if t.log == nil {
		log, err := syslog.New(syslog.LOG_USER|syslog.LOG_INFO, SyslogIdentifier)
		if err != nil {
			return
		}
		t.log = log
	}
	if t.log.Info(text) != nil {
		t.log.Close()
		t.log = nil
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
func (t *teller) attach(conn net.Conn) {
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
