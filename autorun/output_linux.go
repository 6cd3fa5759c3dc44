// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"encoding/json"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// outputPipe cuts what the script and its children write into lines.
type outputPipe struct {
	file *os.File
	raw  syscall.RawConn
	done chan struct{} // closed when nobody can write any more

	mu    sync.Mutex // held while bytes are taken from the pipe and told
	lines lines
	buf   []byte
}

// newOutputPipe returns the reader and the file that the script writes to.
func newOutputPipe(emit func(string)) (*outputPipe, *os.File, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	// Only the reading end: a script must not find its output non-blocking.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, err
	}
	file := os.NewFile(uintptr(fds[0]), "output")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	p := &outputPipe{file: file, raw: raw, done: make(chan struct{}), buf: make([]byte, 64<<10), lines: lines{emit: emit}}
	return p, os.NewFile(uintptr(fds[1]), "output"), nil
}

// follow tells everything until the last writer is gone.
func (p *outputPipe) follow() {
	defer close(p.done)
	for {
		var n int
		var err error
		if p.raw.Read(func(fd uintptr) bool {
			n, err = p.take(int(fd))
			return err != unix.EAGAIN
		}) != nil || n == 0 || err != nil {
			return
		}
	}
}

// take moves what the pipe holds now, but at most one buffer, to the lines.
func (p *outputPipe) take(fd int) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.read(fd)
	if n == 0 && err == nil {
		p.lines.flush()
	}
	return n, err
}

func (p *outputPipe) read(fd int) (int, error) {
	for {
		n, err := unix.Read(fd, p.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, err
		}
		p.lines.write(p.buf[:n])
		return n, nil
	}
}

// catchUp returns when everything is told that was written before the call,
// an unfinished line included. Background children may write on.
func (p *outputPipe) catchUp() {
	p.raw.Control(func(fd uintptr) {
		p.mu.Lock()
		defer p.mu.Unlock()
		left, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
		for err == nil && left > 0 {
			var n int
			if n, err = p.read(int(fd)); n == 0 {
				break
			}
			left -= n
		}
		p.lines.flush()
	})
}

func endFrame(e ending) []byte {
	text, err := json.Marshal(e)
	if err != nil {
		text = []byte(`{"unknown":true}`)
	}
	return append(append([]byte{tagEnd}, text...), '\n')
}

func itoa(n int) string { return strconv.Itoa(n) }
