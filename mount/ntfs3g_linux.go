// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxHelperOutput bounds what is kept of the words of a ntfs-3g that fails, in
// bytes. What it says beyond them is read and dropped.
const MaxHelperOutput = 4 << 10

// confinedName is the hidden subcommand that calls ConfinedMain.
const confinedName = "confined-ntfs-3g"

// ntfs3gPlaces are searched where Options.NTFS3G is empty; not by PATH, since
// a daemon's is whatever its starter had.
var ntfs3gPlaces = []string{"/usr/bin/ntfs-3g", "/bin/ntfs-3g", "/usr/sbin/ntfs-3g", "/sbin/ntfs-3g", "/usr/bin/lowntfs-3g", "/bin/lowntfs-3g"}

// ntfs3gTree mounts NTFS through a confined ntfs-3g. The mount itself is made
// here, with the kernel's API and our flags: see supervise. kernel is why the
// kernel's own drivers did not do it; nil where there is none.
func (m *Mounter) ntfs3gTree(ctx context.Context, x *Mount, kernel error) error {
	program, err := m.ntfs3g()
	if err != nil {
		return also(kernel, err)
	}
	options := fmt.Sprintf("ro,nosuid,nodev,no_detach,allow_other,uid=0,gid=0,fmask=%04o,dmask=%04o", m.o.Fmask, m.o.Dmask)
	c, err := m.startConfined(ctx, program, x.Device.Path, "ntfs-3g", "-o", options, jailDevice, jailTarget)
	if err != nil {
		return also(kernel, fmt.Errorf("ntfs-3g: %w", err))
	}
	defer c.link.Close()
	stop := context.AfterFunc(ctx, func() { c.cmd.Process.Kill() })
	root, err := c.serve(x.Device)
	if !stop() && err == nil {
		root.Close()
		err = ctx.Err()
	}
	if err != nil {
		c.cmd.Process.Kill()
		<-c.exited
		return also(kernel, fmt.Errorf("ntfs-3g: %w%s", err, c.words.quoted()))
	}
	x.root, x.Driver, x.helper = root, "ntfs-3g", c.helper
	if c.scope != nil {
		x.Warnings = append(x.Warnings, fmt.Sprintf("ntfs-3g ends with the agent: %v", c.scope))
	}
	return nil
}

// ntfs3g finds the program.
func (m *Mounter) ntfs3g() (string, error) {
	places := ntfs3gPlaces
	if m.o.NTFS3G != "" {
		places = []string{m.o.NTFS3G}
	}
	for _, place := range places {
		if path, err := filepath.EvalSymlinks(place); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: the kernel knows no ntfs, and ntfs-3g is not installed", ErrNoDriver)
}

// confined is a ntfs-3g that is being started.
type confined struct {
	cmd    *exec.Cmd
	helper helper
	link   *os.File // to ConfinedMain, until it has become ntfs-3g
	exited chan struct{}
	words  *words
	scope  error // why it has no scope of its own
}

// startConfined starts ConfinedMain with args, in a session, a mount namespace
// and, where systemd runs, a scope of its own, so that it outlives this
// process: the mount does too.
func (m *Mounter) startConfined(ctx context.Context, args ...string) (*confined, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "link"), os.NewFile(uintptr(pair[1]), "link")
	defer theirs.Close()
	argv := m.o.Helper
	if len(argv) == 0 {
		argv = []string{"/proc/self/exe", confinedName}
	}
	argv = append(append([]string(nil), argv...), args...)
	c := &confined{cmd: exec.Command(argv[0], argv[1:]...), link: ours, exited: make(chan struct{}), words: &words{}}
	c.cmd.ExtraFiles = []*os.File{theirs}
	c.cmd.Env = []string{"GODEBUG=asyncpreemptoff=1"} // no signals of Go's own, which would interrupt trapped calls
	c.cmd.Dir = "/"
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS}
	if err := c.start(); err != nil {
		ours.Close()
		return nil, err
	}
	c.scope = ownScope(ctx, c.helper.PID)
	return c, nil
}

// start starts the process, and reads what it says as long as it lives.
func (c *confined) start() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	c.cmd.Stdout, c.cmd.Stderr = w, w
	if err := c.cmd.Start(); err != nil {
		r.Close()
		return err
	}
	c.helper.PID = c.cmd.Process.Pid
	c.helper.Start, _ = startTime(c.helper.PID)
	go func() {
		io.Copy(c.words, r)
		r.Close()
		c.cmd.Wait()
		close(c.exited)
	}()
	return nil
}

// words keeps the last MaxHelperOutput bytes written to it.
type words struct {
	mu  sync.Mutex
	buf []byte
}

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, b...)
	if over := len(w.buf) - MaxHelperOutput; over > 0 {
		w.buf = append(w.buf[:0], w.buf[over:]...)
	}
	return len(b), nil
}

// quoted is the first line for an error message: ntfs-3g's cause comes before
// its advice. It may hold bytes of the device.
func (w *words) quoted() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	line, _, _ := bytes.Cut(bytes.TrimSpace(w.buf), []byte("\n"))
	if len(line) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%q)", strings.TrimSpace(string(line)))
}

// serve lets the process confine itself, takes its system call filter's
// listener, and makes the mount that it asks for.
func (c *confined) serve(d Device) (*os.File, error) {
	if _, err := c.link.Write([]byte{1}); err != nil {
		return nil, err
	}
	listener, err := receiveFile(c.link)
	if err != nil {
		return nil, fmt.Errorf("it could not be confined: %w", err)
	}
	defer listener.Close() // what is trapped from then on fails with ENOSYS
	root, err := supervise(listener, c.helper.PID, d)
	if err != nil {
		return nil, err
	}
	if err := sameDevice(root, d); err != nil { // also waits until it serves
		root.Close()
		return nil, err
	}
	return root, nil
}
