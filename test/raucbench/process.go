// SPDX-License-Identifier: GPL-3.0-or-later

package raucbench

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a child that ends at the latest with this program.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start runs argv with the additional environment env and its output in the file log.
func start(log string, env []string, argv ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p := &process{name: argv[0], log: log, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Pdeathsig counts from the thread that started the child.
		runtime.LockOSThread()
		defer out.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	return p, nil
}

// until waits for ready, at most StartTimeout, and stops the process otherwise.
func (p *process) until(ready func() bool, what string) error {
	deadline := time.After(StartTimeout)
	for !ready() {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %s", p.name, p.output())
		case <-deadline:
			p.stop()
			return fmt.Errorf("%s: no %s after %v: %s", p.name, what, StartTimeout, p.output())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// output returns the end of what the process wrote.
func (p *process) output() string {
	text, _ := os.ReadFile(p.log)
	return strings.TrimSpace(string(text[max(0, len(text)-2000):]))
}

// stop asks the process to end, and makes it.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.kill()
	}
}

// kill ends the process at once.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}
