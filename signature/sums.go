// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"io"

	"usbagent/internal/sha256"
)

// contentSums computes digests of the content, each once.
type contentSums struct {
	c    *Content
	sums map[crypto.Hash][]byte
	// given is used instead of content where the content is elsewhere.
	given func(crypto.Hash) []byte
}

func (s *contentSums) sum(h crypto.Hash) []byte {
	if s.given != nil {
		return s.given(h)
	}
	if h == crypto.SHA256 {
		sum := s.c.SHA256()
		return sum[:]
	}
	if s.sums[h] == nil {
		d := h.New()
		d.Write(s.c.bytes)
		if s.sums == nil {
			s.sums = map[crypto.Hash][]byte{}
		}
		s.sums[h] = d.Sum(nil)
	}
	return s.sums[h]
}

// textSum is the digest of the content as openssl smime signs it without
// -binary: each line end as CRLF. nil where there is no content.
func (s *contentSums) textSum(h crypto.Hash) []byte {
	if s.c == nil {
		return nil
	}
	d := newDigest(h)
	writeText(d, s.c.bytes)
	return d.Sum(nil)
}

// unixSum is the digest of the content with each CRLF as LF. nil where there is
// no content, or none of them.
func (s *contentSums) unixSum(h crypto.Hash) []byte {
	if s.c == nil || !bytes.Contains(s.c.bytes, []byte("\r\n")) {
		return nil
	}
	d := newDigest(h)
	writeUnix(d, s.c.bytes)
	return d.Sum(nil)
}

// digest is a hash.Hash that is written once.
type digest interface {
	io.Writer
	Sum([]byte) []byte
}

// newDigest begins a digest of content, which may be large.
func newDigest(h crypto.Hash) digest {
	if h == crypto.SHA256 {
		return sha256.New()
	}
	return h.New()
}

// block is how much is searched for a line end first, in bytes: what has none is
// written as it is, the rest byte by byte.
const block = 512

// writeText writes b with each line end as CRLF, and without the carriage returns
// that stand before it or at the end.
func writeText(d digest, b []byte) {
	p, returns := pieces{to: d}, 0
	for ; len(b) > 0; b = b[min(block, len(b)):] {
		part := b[:min(block, len(b))]
		if returns == 0 && bytes.IndexByte(part, '\n') < 0 && bytes.IndexByte(part, '\r') < 0 {
			p.putAll(part)
			continue
		}
		for _, c := range part {
			switch c {
			case '\r':
				returns++
				continue
			case '\n':
				returns = 1
			}
			for ; returns > 0; returns-- {
				p.put('\r')
			}
			p.put(c)
		}
	}
	p.flush()
}

// writeUnix writes b with each CRLF as LF.
func writeUnix(d digest, b []byte) {
	p, last := pieces{to: d}, byte(0)
	for ; len(b) > 0; b = b[min(block, len(b)):] {
		part := b[:min(block, len(b))]
		if last != '\r' && bytes.IndexByte(part, '\r') < 0 {
			p.putAll(part)
			continue
		}
		for _, c := range part {
			if last == '\r' && c != '\n' {
				p.put('\r')
			}
			if last = c; c != '\r' {
				p.put(c)
			}
		}
	}
	if last == '\r' {
		p.put('\r')
	}
	p.flush()
}

// pieces gathers single bytes, so that a text of nothing but line ends costs no more
// than another.
type pieces struct {
	to  digest
	n   int
	buf [4 << 10]byte
}

func (p *pieces) put(c byte) {
	p.buf[p.n] = c
	if p.n++; p.n == len(p.buf) {
		p.flush()
	}
}

// putAll writes more than a few bytes as they are.
func (p *pieces) putAll(b []byte) {
	p.flush()
	p.to.Write(b)
}

// flush is called rarely enough; without it, put is small enough to be inlined.
//
//go:noinline
func (p *pieces) flush() {
	p.to.Write(p.buf[:p.n])
	p.n = 0
}
