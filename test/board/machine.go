// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// machine is one run of QEMU, from power on to its end.
type machine struct {
	dir   string
	cmd   *exec.Cmd
	qmp   *monitor // commands and events
	led   *monitor // polling the LED, so that it never waits for the other
	guest *guest
	done  chan struct{} // closed when QEMU's process has ended
	mu    sync.Mutex
	// reason is why QEMU ended: "guest-reset", "guest-shutdown", "" for a kill.
	reason string
	errs   string
}

// machineOptions say how QEMU is started.
type machineOptions struct {
	program string
	args    []string
	// incoming is a saved state to come back from.
	incoming string
	// paused leaves the guest stopped, to plug sticks before it runs.
	paused bool
	// foreground gives QEMU this process's terminal.
	foreground bool
}

// StartTimeout bounds the time from QEMU's start to its answering.
const StartTimeout = 60 * time.Second

// startMachine starts QEMU in dir, which holds its sockets.
func startMachine(dir string, o machineOptions) (*machine, error) {
	for _, name := range []string{"qmp", "led", "guest"} {
		os.Remove(filepath.Join(dir, name))
	}
	args := append([]string{"-no-reboot", "-S",
		"-qmp", "unix:" + filepath.Join(dir, "qmp") + ",server=on,wait=off",
		"-qmp", "unix:" + filepath.Join(dir, "led") + ",server=on,wait=off",
		"-chardev", "socket,id=guest,server=on,wait=off,path=" + filepath.Join(dir, "guest"),
	}, o.args...)
	if o.incoming != "" {
		args = append(args, "-incoming", "exec:cat '"+o.incoming+"'")
	}
	m := &machine{dir: dir, done: make(chan struct{})}
	m.cmd = exec.Command(o.program, args...)
	errFile, err := os.Create(filepath.Join(dir, "qemu.err"))
	if err != nil {
		return nil, err
	}
	defer errFile.Close()
	m.cmd.Stderr = errFile
	if o.foreground {
		m.cmd.Stdin, m.cmd.Stdout = os.Stdin, os.Stdout
	}
	endWithParent(m.cmd)
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.program, err)
	}
	go func() {
		m.cmd.Wait()
		text, _ := os.ReadFile(errFile.Name())
		m.mu.Lock()
		m.errs = tail(string(text), 2000)
		m.mu.Unlock()
		close(m.done)
	}()
	if err := m.connect(o); err != nil {
		m.kill()
		return nil, fmt.Errorf("start the board: %w: %s", err, m.errs)
	}
	return m, nil
}

// connect opens the sockets and, unless it shall stay paused, lets it run.
func (m *machine) connect(o machineOptions) error {
	ctx, cancel := context.WithTimeout(context.Background(), StartTimeout)
	defer cancel()
	go func() { // a QEMU that ends at once is not waited for
		select {
		case <-m.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	var err error
	if m.qmp, err = dialMonitor(ctx, filepath.Join(m.dir, "qmp")); err != nil {
		return err
	}
	if m.led, err = dialMonitor(ctx, filepath.Join(m.dir, "led")); err != nil {
		return err
	}
	if m.guest, err = dialGuest(ctx, filepath.Join(m.dir, "guest")); err != nil {
		return err
	}
	go m.events()
	if o.incoming != "" {
		if err := m.awaitStatus(ctx, "paused", "prelaunch"); err != nil {
			return err
		}
	}
	if o.paused {
		return nil
	}
	return m.run()
}

// run lets a paused guest go on.
func (m *machine) run() error { return m.qmp.do("cont", nil, nil) }

// awaitStatus waits until QEMU says one of those states.
func (m *machine) awaitStatus(ctx context.Context, states ...string) error {
	for {
		var s struct{ Status string }
		if err := m.qmp.do("query-status", nil, &s); err != nil {
			return err
		}
		for _, state := range states {
			if s.Status == state {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("QEMU stays %s: %w", s.Status, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// events notes why QEMU ends.
func (m *machine) events() {
	for e := range m.qmp.events {
		if e.Event != "SHUTDOWN" {
			continue
		}
		var data struct{ Reason string }
		if json.Unmarshal(e.Data, &data) == nil {
			m.mu.Lock()
			m.reason = data.Reason
			m.mu.Unlock()
		}
	}
}

// ended is QEMU's reason, once done is closed.
func (m *machine) ended() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reason
}

// kill is the power cut: QEMU gets no chance to do anything.
func (m *machine) kill() {
	m.cmd.Process.Kill()
	<-m.done
	for _, c := range []*monitor{m.qmp, m.led} {
		if c != nil {
			c.close()
		}
	}
	if m.guest != nil {
		m.guest.conn.Close()
	}
}

// save stops the guest and writes its state (not the card) to path.
func (m *machine) save(path string) error {
	if err := m.qmp.do("stop", nil, nil); err != nil {
		return err
	}
	limit := map[string]any{"max-bandwidth": 8 << 30}
	if err := m.qmp.do("migrate-set-parameters", limit, nil); err != nil {
		return err
	}
	if err := m.qmp.do("migrate", map[string]any{"uri": "exec:cat >'" + path + "'"}, nil); err != nil {
		return err
	}
	for {
		var s struct {
			Status string
			Desc   string `json:"error-desc"`
		}
		if err := m.qmp.do("query-migrate", nil, &s); err != nil {
			return err
		}
		switch s.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("save the board: %s %s", s.Status, s.Desc)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// endWithParent keeps no QEMU behind when the test process is killed.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
