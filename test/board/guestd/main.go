// SPDX-License-Identifier: GPL-3.0-or-later

// Command guestd runs in the emulated board and does over a serial port what
// tests ask for: run a command, read, write or list a file. See package wire.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"usbagent/test/board/wire"
)

func main() {
	path := flag.String("tty", "/dev/ttymxc1", "serial port to the host")
	flag.Parse()
	tty, err := os.OpenFile(*path, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := raw(int(tty.Fd())); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	serve(tty)
}

// raw makes the terminal pass every byte unchanged.
func raw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("read terminal settings: %w", err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// serve answers requests until the port closes. A line that is no request, as
// left over from before a snapshot, is passed over.
func serve(tty *os.File) {
	var write sync.Mutex
	in := bufio.NewReaderSize(tty, 1<<16)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var q wire.Request
		if json.Unmarshal(line, &q) != nil {
			continue
		}
		go func() {
			reply := answer(q)
			reply.ID, reply.Answer = q.ID, true
			text, err := json.Marshal(reply)
			if err != nil {
				return
			}
			write.Lock()
			defer write.Unlock()
			tty.Write(append(text, '\n'))
		}()
	}
}

func answer(q wire.Request) wire.Reply {
	var r wire.Reply
	var err error
	switch q.Op {
	case "exec":
		r.Status, r.Out, err = run(q.Argv)
	case "read":
		r.Out, err = os.ReadFile(q.Path)
	case "write":
		err = writeAt(q)
	case "list":
		r.Out, err = list(q.Path)
	default:
		err = fmt.Errorf("unknown operation %q", q.Op)
	}
	if len(r.Out) > wire.MaxOutput {
		r.Out, err = nil, fmt.Errorf("%d bytes are more than the %d an answer carries", len(r.Out), wire.MaxOutput)
	}
	if err != nil {
		r.Error = err.Error()
		r.Missing = errors.Is(err, fs.ErrNotExist)
	}
	return r
}

// run starts a command without a shell; its output and errors come together.
func run(argv []string) (int, []byte, error) {
	if len(argv) == 0 {
		return 0, nil, errors.New("no command")
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status := exit.ExitCode()
		if status < 0 {
			status = 128 + int(exit.Sys().(syscall.WaitStatus).Signal())
		}
		return status, out, nil
	}
	return 0, out, err
}

func writeAt(q wire.Request) error {
	flags := os.O_WRONLY | os.O_CREATE
	if q.Offset == 0 {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(q.Path, flags, fs.FileMode(q.Mode))
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(q.Data, q.Offset); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// list is the directory's names as JSON, sorted.
func list(path string) ([]byte, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return json.Marshal(names)
}
