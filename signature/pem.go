// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// pemLine is how much of a line OpenSSL's PEM reader takes at once.
const pemLine = 254

// maxPEMName bounds a block's name in a message.
const maxPEMName = 64

// pemBlock is one block of a PEM file.
type pemBlock struct {
	name   string
	line   int // of its BEGIN, from 1
	header bool
	der    []byte
}

// pemReader reads PEM as OpenSSL's PEM_read_bio does: text between blocks is
// skipped, a block that begins must be whole.
type pemReader struct {
	rest []byte
	line int
}

var errNoBlock = errors.New("no further PEM block")

// gets returns the next line or the next pemLine bytes of a longer one.
func (r *pemReader) gets() (string, bool) {
	if len(r.rest) == 0 {
		return "", false
	}
	n := min(len(r.rest), pemLine)
	if i := bytes.IndexByte(r.rest[:n], '\n'); i >= 0 {
		n = i + 1
		r.line++
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s, true
}

// trimLine drops what is not printable from the end of a line.
func trimLine(s string) string {
	return strings.TrimRightFunc(s, func(r rune) bool { return r <= ' ' })
}

const (
	pemBegin = "-----BEGIN "
	pemEnd   = "-----END "
	pemTail  = "-----"
)

// next returns the next block, or errNoBlock at the end.
func (r *pemReader) next() (*pemBlock, error) {
	for first := true; ; first = false {
		s, ok := r.gets()
		if !ok {
			return nil, errNoBlock
		}
		if first && len(s) > 3 {
			s = strings.TrimPrefix(s, "\xef\xbb\xbf")
		}
		// Where char is signed, OpenSSL takes bytes above 127 for white space too:
		// such a line must not mean different things on different machines.
		if ascii := trimHigh(s); ascii != trimLine(s) && isBegin(ascii) {
			return nil, fail(BadPEM, fmt.Sprintf("line %d: there are odd characters after a BEGIN mark", r.line))
		}
		s = trimLine(s)
		if isBegin(s) {
			name := s[len(pemBegin) : len(s)-len(pemTail)]
			return r.body(&pemBlock{name: name, line: r.line})
		}
	}
}

// trimHigh is trimLine on a machine where char is signed.
func trimHigh(s string) string {
	n := len(s)
	for n > 0 && (s[n-1] <= ' ' || s[n-1] >= 0x80) {
		n--
	}
	return s[:n]
}

// isBegin reports whether a trimmed line begins a block.
func isBegin(s string) bool {
	return strings.HasPrefix(s, pemBegin) && strings.HasSuffix(s, pemTail) && len(s) >= len(pemBegin)+len(pemTail)
}

// body reads a block up to its END line.
func (r *pemReader) body(b *pemBlock) (*pemBlock, error) {
	var before, after strings.Builder // the first blank line
	blank, colon, partial, short := false, false, false, false
	for {
		s, ok := r.gets()
		if !ok {
			return nil, b.broken("it has no END line")
		}
		wasPartial := partial
		partial = len(s) == pemLine && !strings.HasSuffix(s, "\n")
		colon = colon || !blank && strings.ContainsRune(s, ':')
		s = trimLine(s)
		if s == "" {
			if !wasPartial {
				if blank {
					return nil, b.broken("it has two blank lines")
				}
				blank = true
			}
			continue
		}
		if strings.HasPrefix(s, pemEnd) {
			if s != pemEnd+b.name+pemTail {
				return nil, b.broken("its END line does not match")
			}
			break
		}
		if short {
			return nil, b.broken("a line after a short line")
		}
		if blank {
			after.WriteString(s + "\n")
			if len(s)+1 > 65 {
				return nil, b.broken("a line of more than 64 characters after a blank line")
			}
			short = len(s)+1 < 65
		} else {
			before.WriteString(s + "\n")
		}
	}
	return r.finish(b, before.String(), after.String(), blank)
}

// finish decodes the base64 of a block; what stands before a blank line is a
// header.
func (r *pemReader) finish(b *pemBlock, before, after string, blank bool) (*pemBlock, error) {
	data := before
	if blank {
		data = after
		b.header = before != ""
	}
	der, err := decodeBase64(data)
	if err != nil || len(data) == 0 {
		return nil, b.broken("its base64 is damaged")
	}
	b.der = der
	return b, nil
}

func (b *pemBlock) broken(why string) error {
	name := b.name
	if len(name) > maxPEMName {
		name = name[:maxPEMName]
	}
	return fail(BadPEM, fmt.Sprintf("the block %q in line %d is broken: %s", name, b.line, why))
}

// decodeBase64 decodes groups of four characters; white space is skipped.
// Being exact about the padding is stricter than OpenSSL in no case that a tool
// writes.
func decodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, " \t") { // line ends are skipped anyway
		s = strings.NewReplacer(" ", "", "\t", "").Replace(s)
	}
	return base64.StdEncoding.DecodeString(s)
}
