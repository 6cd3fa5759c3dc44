// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxLine is how many bytes of a script's output make one line at most; a
// longer line is told as several. It fits what syslog daemons take.
const MaxLine = 4096

// lines cuts a stream of bytes into printable lines. The zero value is ready
// for use with emit set.
type lines struct {
	emit    func(string)
	pending []byte // less than MaxLine bytes without a newline
}

// write takes the next bytes of the stream.
func (l *lines) write(b []byte) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if end >= 0 && len(l.pending)+end <= MaxLine {
			l.line(append(l.pending, b[:end]...))
			b = b[end+1:]
			continue
		}
		n := min(len(b), MaxLine-len(l.pending))
		l.pending = append(l.pending, b[:n]...)
		b = b[n:]
		// Exactly MaxLine bytes wait for a newline to follow, if it does.
		if len(l.pending) == MaxLine && (len(b) > 0) {
			l.split()
		}
	}
}

// split emits a full line, but keeps the beginning of a character that it cuts.
func (l *lines) split() {
	cut := len(l.pending)
	for i := 1; i < utf8.UTFMax; i++ {
		if c := l.pending[len(l.pending)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(l.pending[len(l.pending)-i:]) {
				cut -= i
			}
			break
		}
	}
	rest := bytes.Clone(l.pending[cut:])
	l.line(l.pending[:cut])
	l.pending = append(l.pending, rest...)
}

// flush emits what has no newline at the end of the stream.
func (l *lines) flush() {
	if len(l.pending) > 0 {
		l.line(l.pending)
	}
}

func (l *lines) line(b []byte) {
	l.emit(printable(bytes.TrimSuffix(b, []byte("\r"))))
	l.pending = l.pending[:0]
}

// printable shows b as one line of text: what is no printable character
// (control characters, escape sequences, overrides of the writing direction,
// bytes that are no UTF-8) is written as \x1b or \u202e. Tabs stay.
func printable(b []byte) string {
	var out strings.Builder
	out.Grow(len(b))
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case r == '\t' || strconv.IsPrint(r) && (r != utf8.RuneError || size > 1):
			out.Write(b[:size])
		case r < 0x80 || r == utf8.RuneError:
			fmt.Fprintf(&out, `\x%02x`, b[0])
		case r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			fmt.Fprintf(&out, `\U%08x`, r)
		}
		b = b[size:]
	}
	return out.String()
}
