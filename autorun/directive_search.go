// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"bytes"
	"encoding/binary"
)

// What is here looks at a script that may have 64 MB, whoever wrote it, before its
// signature is checked: each function passes once over its text, with a few
// instructions for a byte (docs/performance.md, Hashing).

// ParseDirectives returns what the script says about itself. The error is a
// *[DirectiveError] about the first line that is wrong; Requires is then what
// any well-formed line says, since a later usbagent may know the other words.
func ParseDirectives(script []byte) (Directives, error) {
	p := parser{leading: true}
	for rest, more := script, true; more && !p.full(); p.number++ {
		i := indexDirective(rest)
		if i < 0 {
			break
		}
		begin := bytes.LastIndexByte(rest[:i], '\n') + 1
		var line, after []byte
		line, after, more = bytes.Cut(rest[begin:], []byte("\n"))
		p.pass(rest[:begin], line)
		if p.err != nil && !p.leading {
			break // what stands after the leading comments never counts
		}
		p.take(line)
		rest = after
	}
	if p.err != nil {
		return Directives{Requires: p.found.Requires}, p.err
	}
	return p.found, nil
}

// full reports whether no further line can change the result.
func (p *parser) full() bool { return p.err != nil && p.count == MaxDirectives }

// pass moves on over whole lines that are no directives to line.
func (p *parser) pass(lines, line []byte) {
	if p.leading {
		if p.number == 0 && len(lines) > 0 {
			lines = bytes.TrimPrefix(lines, byteOrderMark)
		} else if p.number == 0 {
			line = bytes.TrimPrefix(line, byteOrderMark)
		}
		var n int
		n, lines = leading(lines)
		p.number += n
		p.leading = len(lines) == 0
	}
	p.number += bytes.Count(lines, []byte("\n"))
	if p.leading {
		_, rest := leading(line)
		p.leading = len(rest) == 0
	}
}

// leading returns how many lines at the beginning of text are comments or blank,
// and what follows them.
func leading(text []byte) (n int, rest []byte) {
	begin, comment, returned := 0, false, false
	for i, c := range text {
		switch {
		case c == '\n':
			n++
			begin, comment, returned = i+1, false, false
		case comment, c == ' ', c == '\t':
		case c == '#' && !returned:
			comment = true
		case c == '\r':
			returned = true // after which only blanks are a blank line
		default:
			return n, text[begin:]
		}
	}
	return n, nil
}

// indexDirective returns the place in text of the first [programWord] that
// somebody who reads its line, or a part of it after a carriage return, would take
// for a directive: which is "# usbagent:" but for blanks, the number of hashes,
// letter case and byte order marks. It returns -1 where there is none.
func indexDirective(text []byte) int {
	for from := 0; ; from += len(programWord) {
		i := indexProgram(text[from:])
		if i < 0 {
			return -1
		}
		if from += i; colon(text[from+len(programWord):]) && comment(text[:from]) {
			return from
		}
	}
}

// colon reports whether text begins with a colon, after blanks.
func colon(text []byte) bool {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == ':':
			return true
		case c == ' ', c == '\t', c == '\v', c == '\f':
		case c == 0xc2 && i+1 < len(text) && text[i+1] == 0xa0: // U+00A0
			i++
		default:
			return false
		}
	}
	return false
}

// comment reports whether text ends with the beginning of a line, or of a part of
// it after a carriage return, that has nothing but hashes, blanks and byte order
// marks, a hash among them.
func comment(text []byte) bool {
	hash := false
	for i := len(text) - 1; i >= 0; i-- {
		switch c := text[i]; {
		case c == '#':
			hash = true
		case c == ' ', c == '\t', c == '\v', c == '\f':
		case c == '\n', c == '\r':
			return hash
		case c == 0xa0 && i >= 1 && text[i-1] == 0xc2: // U+00A0
			i--
		case c == 0xbf && i >= 2 && text[i-1] == 0xbb && text[i-2] == 0xef: // U+FEFF
			i -= 2
		default:
			return false
		}
	}
	return hash
}

// programWord is the name that every directive begins with.
const programWord = "usbagent"

// programSkip says of each byte how far programWord can be moved on that was
// compared where this byte was below its last letter: not at all below that letter
// itself.
var programSkip = func() (skip [256]int) {
	for c := range skip {
		skip[c] = len(programWord)
	}
	for i, c := range []byte(programWord) {
		skip[c] = len(programWord) - 1 - i
		skip[c-'a'+'A'] = skip[c]
	}
	return skip
}()

// indexProgram returns where programWord begins in text, in whatever letters,
// or -1. It looks at every eighth byte (Horspool); package bytes looks at each,
// with no help of the processor on ARMv7.
func indexProgram(text []byte) int {
	const last = uint(len(programWord) - 1)
	for i := last; i < uint(len(text)); {
		skip := programSkip[text[i]]
		if skip == 0 {
			if found := text[i-last : i+1]; small(found[4:]) == programEnd && small(found) == programBegin {
				return int(i - last)
			}
			skip = len(programWord) // no letter is in it twice
		}
		i += uint(skip)
	}
	return -1
}

// The letters of programWord, as small returns them.
const (
	programBegin = 'a'<<24 | 'b'<<16 | 's'<<8 | 'u'
	programEnd   = 't'<<24 | 'n'<<16 | 'e'<<8 | 'g'
)

// small returns the first four bytes of text with the bit set by which small
// letters differ from capital ones.
func small(text []byte) uint32 { return binary.LittleEndian.Uint32(text) | 0x2020_2020 }
