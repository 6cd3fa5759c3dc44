// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"crypto/md5"

	"usbagent/internal/sha256"
)

// hashChunk is how many bytes are hashed at once, small enough for both hash
// passes to find them in the cache.
const hashChunk = 32 << 10

// Content is bytes from a stick that nobody has vouched for yet. They were
// read once; what is verified is what is in memory, whatever the device says
// later.
type Content struct {
	name   string
	bytes  []byte
	sha256 [32]byte
	md5    [16]byte
}

// NewContent takes ownership of b and hashes it (SHA-256 and MD5 in one pass).
// The name is only used in messages.
func NewContent(name string, b []byte) *Content {
	c := &Content{name: name, bytes: b}
	s, m := sha256.New(), md5.New()
	for rest := b; len(rest) > 0; {
		n := min(len(rest), hashChunk)
		s.Write(rest[:n])
		m.Write(rest[:n])
		rest = rest[n:]
	}
	s.Sum(c.sha256[:0])
	m.Sum(c.md5[:0])
	return c
}

// Name returns the name given to NewContent.
func (c *Content) Name() string { return c.name }

// Size returns the number of bytes.
func (c *Content) Size() int64 { return int64(len(c.bytes)) }

// SHA256 returns the digest of the bytes.
func (c *Content) SHA256() [32]byte { return c.sha256 }

// MD5 returns the sum that boards keep in the list of executed scripts. It
// identifies a script, it secures nothing.
func (c *Content) MD5() [16]byte { return c.md5 }

// Unverified returns the bytes although nobody vouched for them. Callers look
// at them, and never execute or install them. They must not be changed.
func (c *Content) Unverified() []byte { return c.bytes }

// Verified is content with a good signature. Only [Verify] makes one, so what
// takes a *Verified cannot be given anything else.
type Verified struct {
	content *Content
	chain   []Certificate
}

// Name returns the name of the content.
func (v *Verified) Name() string { return v.content.name }

// Bytes returns the signed bytes. They must not be changed.
func (v *Verified) Bytes() []byte { return v.content.bytes }

// SHA256 returns the digest of the bytes.
func (v *Verified) SHA256() [32]byte { return v.content.sha256 }

// MD5 returns the sum that boards keep in the list of executed scripts.
func (v *Verified) MD5() [16]byte { return v.content.md5 }

// Signer returns the certificate whose key made the (first) signature.
func (v *Verified) Signer() Certificate { return v.chain[0] }

// Chain returns the signer, its issuers, and last the anchor in the keyring.
func (v *Verified) Chain() []Certificate { return append([]Certificate(nil), v.chain...) }
