// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What is said before the first message (specification, "Authentication
// Protocol"). The other end takes our user from the socket, as libsystemd has it,
// which does so in containers too where users have other numbers outside. The
// commands go out together; each has one answer.
const (
	linesExternal = "\x00AUTH EXTERNAL\r\nDATA\r\n"
	lineBegin     = "BEGIN\r\n"
)

// authenticate tells who we are, up to BEGIN. Descriptors are not negotiated: any
// local user may send signals, and every descriptor in one would stay open here.
func authenticate(out io.Writer, in *bufio.Reader) error {
	if _, err := io.WriteString(out, linesExternal); err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	first, err := readLine(in)
	if err != nil || strings.HasPrefix(first, "REJECTED") {
		return refused(first, err)
	}
	second, err := readLine(in)
	if err != nil || strings.HasPrefix(first, "OK ") || strings.HasPrefix(first, "DATA") && strings.HasPrefix(second, "OK ") {
		return err // or, with OK at once, whatever it says to DATA
	}
	return refused(first+", "+second, nil)
}

func refused(answer string, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("authenticate: the answer is %.200q", answer)
}

// readLine reads one line, which the buffer holds.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		err = fmt.Errorf("authenticate: a line is longer than %d bytes", in.Size())
	case err != nil:
		err = fmt.Errorf("authenticate: %w", cutShort(err))
	}
	return strings.TrimRight(string(line), "\r\n"), err
}
