// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"io"
	"os/exec"
	"strings"
	"time"

	"usbagent/config"
)

// Bounds of board.serial_command.
const (
	// SerialTimeout is how long it may take.
	SerialTimeout = 5 * time.Second
	// MaxSerial is the length in bytes of what it prints; more is no serial number.
	MaxSerial = 256
)

// configure lets the configuration have the last word about what board it is.
func (b *Board) configure(c config.Board) {
	if c.Model != "" {
		b.Model = c.Model
	}
	if c.Serial != "" {
		b.Serial = c.Serial
	}
}

func (b Board) model() string { return b.Model }

// serialNumber returns what tells the serial number, "" where nothing does. The
// command is asked only when a script wants to know.
func (b Board) serialNumber(command []string) func() string {
	return func() string {
		if serial := strings.TrimSpace(b.Serial); serial != "" {
			return serial
		}
		return printed(command)
	}
}

// printed is the one line that a command prints, "" where it fails.
func printed(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), SerialTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second // a child that it left may hold the pipe
	var out serialText
	cmd.Stdout = &out
	if cmd.Run() != nil {
		return ""
	}
	line := strings.TrimSpace(string(out))
	if len(line) > MaxSerial || strings.ContainsAny(line, "\n\r") {
		return ""
	}
	return line
}

// serialText takes in a serial number and the end of its line. A command that
// prints more is ended by its broken pipe.
type serialText []byte

func (s *serialText) Write(b []byte) (int, error) {
	if len(*s)+len(b) > MaxSerial+len("\r\n") {
		return 0, io.ErrShortWrite
	}
	*s = append(*s, b...)
	return len(b), nil
}
