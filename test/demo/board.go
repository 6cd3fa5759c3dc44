// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

	"usbagent/agent"
	"usbagent/test/raucbench"
)

// board is the charging board of the demonstration: a directory with its
// files, the real RAUC with two slots, a LED, somebody who takes requests to
// reboot, and the real agent.
type board struct {
	*screen
	dir     string // what would be / on a board
	sticks  string // where the images of sticks are
	config  string
	light   light
	rauc    *raucbench.Bench
	bus     *dbus.Conn
	reboots chan struct{} // one for each request to reboot

	agent *exec.Cmd
	ended chan struct{} // closed when the agent has ended

	mu   sync.Mutex
	said strings.Builder // by the agent since it was started
}

// settings is the agent's configuration; %[1]s is the board's directory.
const settings = `# The configuration of the demonstration's agent.
[devices]
allow = ["loop"]           # a loop device stands for the USB stick
[mount]
root = "%[1]s/media"
[keyring]
path = "%[1]s/etc/rauc/keyring.pem"
[autorun]
executed_list = "%[1]s/var/cache/usb-autorun/executed.list"
allow_volatile_list = true # the demonstration may lie on a tmpfs
[state]
dir = "%[1]s/srv/usbagent"
[status]
path = "%[1]s/run/usbagent/status.json"
`

// Files of the board, below its directory.
const (
	keyringFile = "etc/rauc/keyring.pem"
	vendorFile  = "etc/rauc/vendor-ca.pem"
	listFile    = "var/cache/usb-autorun/executed.list"
	statusFile  = "run/usbagent/status.json"
	ledName     = "yellow:programming"
)

// newBoard makes the board as it leaves the factory: the keyring is a link to
// the vendor's CA, and RAUC has booted slot A.
func newBoard(s *screen, dir string, vendor *raucbench.PKI) (*board, error) {
	b := &board{screen: s, dir: dir, sticks: filepath.Join(filepath.Dir(dir), "sticks"), config: filepath.Join(dir, "etc/usbagent/config.toml"), reboots: make(chan struct{}, 10)}
	for _, d := range []string{"../sticks", "etc/rauc", "etc/usbagent", "media", "var", "srv", "run", "proc/device-tree"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	ca, err := os.ReadFile(vendor.Keyring)
	if err != nil {
		return nil, err
	}
	for file, content := range map[string][]byte{
		vendorFile:               ca,
		"proc/device-tree/model": []byte("chargebyte Tarragon Master\x00"),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o644); err != nil {
			return nil, err
		}
	}
	if err := os.Symlink(filepath.Base(vendorFile), b.path(keyringFile)); err != nil {
		return nil, err
	}
	if b.light, err = newLight(dir, ledName); err != nil {
		return nil, err
	}
	return b, os.WriteFile(b.config, fmt.Appendf(nil, settings, dir), 0o644)
}

func (b *board) path(file string) string { return filepath.Join(b.dir, file) }

// powerOn starts the bus, RAUC and somebody who takes requests to reboot.
func (b *board) powerOn() error {
	var err error
	b.rauc, err = raucbench.Start(raucbench.Options{
		Dir: b.path("rauc"), Compatible: "Charging Board", Keyring: b.path(keyringFile), SlotSize: 64 << 20,
	})
	if err != nil {
		return err
	}
	if b.bus, err = b.rauc.Bus.Dial(); err != nil {
		return err
	}
	if err := b.bus.Export(login{b}, "/org/freedesktop/login1", "org.freedesktop.login1.Manager"); err != nil {
		return err
	}
	_, err = b.bus.RequestName("org.freedesktop.login1", dbus.NameFlagDoNotQueue)
	return err
}

// login stands in for logind, so that nothing reboots.
type login struct{ b *board }

// Reboot is called by the agent when an image is installed.
func (l login) Reboot(interactive bool) *dbus.Error {
	l.b.happens("board", "the agent asks logind to reboot (nobody does it here)")
	l.b.reboots <- struct{}{}
	return nil
}

// startAgent starts the real daemon and shows what it says.
func (b *board) startAgent(program string) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command(program, "run", "--config", b.config, "--run-dir", b.path("run/usbagent"), "--root", b.dir, "--rauc-conf", b.rauc.Conf,
		"--loop-files", b.sticks+"/") // the machine's other loop devices are not ours
	cmd.Env = append(os.Environ(), b.rauc.Env()...)
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	err = cmd.Start()
	write.Close()
	if err != nil {
		read.Close()
		return err
	}
	b.agent, b.ended = cmd, make(chan struct{})
	b.said.Reset()
	go func() {
		defer close(b.ended)
		for lines := bufio.NewScanner(read); lines.Scan(); {
			e := parse(lines.Text())
			b.hear(e)
			b.happens(e.who, "%s", e.text)
		}
		read.Close()
		cmd.Wait()
	}()
	return nil
}

// stopAgent asks the agent to end, as the service manager does.
func (b *board) stopAgent() {
	if b.agent == nil {
		return
	}
	b.agent.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.ended:
	case <-time.After(10 * time.Second):
		b.agent.Process.Kill()
		<-b.ended
	}
	b.agent = nil
}

// powerOff ends everything that runs.
func (b *board) powerOff() {
	b.stopAgent()
	if b.bus != nil {
		b.bus.Close()
	}
	if b.rauc != nil {
		b.rauc.Stop()
	}
}

// ready waits until the agent waits for sticks.
func (b *board) ready(ctx context.Context) error {
	return wait(ctx, 10*time.Second, "the agent to be ready", func() bool {
		status, err := agent.ReadStatus(b.path(statusFile))
		return err == nil && status.PID == b.agent.Process.Pid
	})
}

// finished waits until the agent is done with the stick, and returns what it did.
func (b *board) finished(ctx context.Context, x *stick) (agent.StickStatus, error) {
	var found agent.StickStatus
	err := wait(ctx, 60*time.Second, "the agent to finish with the stick", func() bool {
		status, err := agent.ReadStatus(b.path(statusFile))
		if err != nil {
			return false
		}
		for _, s := range status.Sticks {
			if s.Present && s.Device == filepath.Base(x.device) && s.DiskSeq == x.sequence && !s.Finished.IsZero() {
				found = s
				return true
			}
		}
		return false
	})
	return found, err
}

// says waits until the agent has said something since it was started.
func (b *board) says(ctx context.Context, text string) error {
	return wait(ctx, 20*time.Second, "the agent to say: "+text, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return strings.Contains(b.said.String(), text)
	})
}

// hear takes note of what the agent said.
func (b *board) hear(e event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said.WriteString(e.text + "\n")
}

// dark waits until the LED is off, as it is when all is done.
func (b *board) dark(ctx context.Context) error {
	return wait(ctx, 5*time.Second, "the LED to be off", func() bool { return b.light.state() == "off" })
}
