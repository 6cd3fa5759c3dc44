// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"usbagent/internal/sockets"
)

// The first byte of each line that the supervisor sends to the agent.
const (
	tagStarted = 's' // the shell was executed
	tagOutput  = 'o' // a line of output follows
	tagEnd     = 'x' // the ending follows, as JSON
)

// session is the agent's end of a script with a supervising process.
type session struct {
	dir    string
	conn   *sockets.Conn
	reader *bufio.Reader
	part   []byte // of a line, when the waiting ended in its middle
}

// startSession starts the supervising process of the run in dir. It gets
// nothing from the agent but the socket that it listens on, so that neither
// the agent's death nor that of its process group, terminal or log pipe
// reaches it.
func startSession(dir string) (life, error) {
	socket, err := listen(dir)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	cmd := exec.Command("/proc/self/exe", SupervisorCommand, "session", dir)
	cmd.Args[0] = "usbagent"
	cmd.Dir = "/"
	cmd.Env = []string{}
	cmd.ExtraFiles = []*os.File{socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the supervising process: %w", err)
	}
	go cmd.Wait() // only so that no zombie stays
	return &session{dir: dir}, nil
}

// listen opens the supervisor's socket.
func listen(dir string) (*os.File, error) {
	listener, err := listenAt(filepath.Join(dir, controlFile))
	if err != nil {
		return nil, err
	}
	return listener.File(), nil
}

// listenAt makes the socket path, which stays when the listener is closed.
func listenAt(path string) (*sockets.Listener, error) {
	dir, address, err := addressOf(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return sockets.Listen(address)
}

func dialAt(path string) (*sockets.Conn, error) {
	dir, address, err := addressOf(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return sockets.Dial(address)
}

// addressOf is the address of the socket path as long as dir is open. It goes
// through /proc, since a socket's address has at most 107 bytes.
func addressOf(path string) (dir *os.File, address string, err error) {
	if dir, err = openDir(filepath.Dir(path)); err != nil {
		return nil, "", err
	}
	return dir, filepath.Join(magicPath(int(dir.Fd())), filepath.Base(path)), nil
}

// connect reaches the supervisor, which has ended when that is refused.
func (s *session) connect() error {
	conn, err := dialAt(filepath.Join(s.dir, controlFile))
	if err == nil {
		s.use(conn)
	}
	return err
}

func (s *session) use(conn *sockets.Conn) {
	s.conn, s.reader, s.part = conn, bufio.NewReaderSize(conn, 4*MaxLine), nil
}

func (s *session) wait(ctx context.Context, output func(string)) (ending, error) {
	for {
		if s.conn == nil {
			if s.connect() != nil {
				return readEnding(s.dir), nil
			}
		}
		end, err := s.follow(ctx, output)
		if err == nil {
			return end, nil
		}
		if ctx.Err() != nil {
			return ending{}, ctx.Err()
		}
		// The supervisor ended, or gave this agent up because it was too slow.
		s.close()
	}
}

// follow hands lines to output until the ending comes.
func (s *session) follow(ctx context.Context, output func(string)) (ending, error) {
	conn := s.conn
	conn.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		line, err := s.line()
		if err != nil {
			return ending{}, err
		}
		if line == "" {
			continue
		}
		switch line[0] {
		case tagOutput:
			output(line[1:])
		case tagEnd:
			return s.ending(line)
		}
	}
}

// line returns the next line. After an error it keeps what came of one.
func (s *session) line() (string, error) {
	more, err := s.reader.ReadBytes('\n')
	s.part = append(s.part, more...)
	if err != nil {
		return "", err
	}
	line := strings.TrimSuffix(string(s.part), "\n")
	s.part = s.part[:0]
	return line, nil
}

// ending is what a line tells that begins with tagEnd.
func (s *session) ending(line string) (ending, error) {
	var end ending
	err := json.Unmarshal([]byte(strings.TrimPrefix(line, string(tagEnd))), &end)
	return end, err
}

func (s *session) close() {
	if s.conn != nil {
		s.conn.Close()
	}
	s.conn = nil
}

func (s *session) release() error {
	s.close()
	// Nobody can reach the supervisor from here on; it stays as long as
	// background children of the script hold its pipe.
	if err := os.Remove(filepath.Join(s.dir, controlFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
