// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxDepth bounds how deeply DER elements may be nested.
const MaxDepth = 32

// The tags this package reads.
const (
	tagBoolean     = cbasn1.BOOLEAN
	tagInteger     = cbasn1.INTEGER
	tagBitString   = cbasn1.BIT_STRING
	tagOctetString = cbasn1.OCTET_STRING
	tagNull        = cbasn1.NULL
	tagOID         = cbasn1.OBJECT_IDENTIFIER
	tagSequence    = cbasn1.SEQUENCE
	tagSet         = cbasn1.SET
	tagUTCTime     = cbasn1.UTCTime
	tagGenTime     = cbasn1.GeneralizedTime
)

// explicit returns the tag [n] of a constructed context-specific element.
func explicit(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

// implicit returns the tag [n] of a primitive context-specific element.
func implicit(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific() }

// walkDER checks that b is exactly one DER element whose every part lies
// inside its parent, with definite lengths in their shortest form, no strings in
// pieces and a nesting of at most MaxDepth. It looks at each byte once, so its
// cost is linear whatever b holds. Everything else in this package reads only
// bytes that passed it.
func walkDER(b []byte) error {
	n, err := walkElement(b, 0, 0)
	if err != nil {
		return err
	}
	if n != len(b) {
		return fail(NotDER, fmt.Sprintf("%d bytes follow the end of the DER element", len(b)-n))
	}
	return nil
}

// walkElement checks the element at the start of b, which lies at offset at of
// the whole, and returns its length.
func walkElement(b []byte, at, depth int) (int, error) {
	if depth > MaxDepth {
		return 0, fail(NotDER, fmt.Sprintf("nested deeper than %d levels at byte %d", MaxDepth, at))
	}
	head, length, err := readHeader(b, at)
	if err != nil {
		return 0, err
	}
	if b[0]&0x20 == 0 {
		return head + length, checkPrimitive(b[0], b[head:head+length], at)
	}
	for done := 0; done < length; {
		n, err := walkElement(b[head+done:head+length], at+head+done, depth+1)
		if err != nil {
			return 0, err
		}
		done += n
	}
	return head + length, nil
}

// readHeader returns the length of the header and of the content of the element
// at the start of b.
func readHeader(b []byte, at int) (head, length int, err error) {
	if len(b) < 2 {
		return 0, 0, fail(NotDER, fmt.Sprintf("cut off at byte %d", at))
	}
	if err := checkTag(b[0], at); err != nil {
		return 0, 0, err
	}
	head, length = 2, int(b[1])
	switch {
	case b[1] == 0x80:
		return 0, 0, fail(NotDER, fmt.Sprintf("indefinite length at byte %d: this is BER, the board needs DER (openssl cms -cmsout -inform DER -outform DER rewrites it)", at))
	case b[1] > 0x84:
		return 0, 0, fail(NotDER, fmt.Sprintf("length of more than four bytes at byte %d", at))
	case b[1] > 0x80:
		n := int(b[1] & 0x7f)
		if len(b) < 2+n {
			return 0, 0, fail(NotDER, fmt.Sprintf("cut off at byte %d", at))
		}
		var v uint32
		for _, c := range b[2 : 2+n] {
			v = v<<8 | uint32(c)
		}
		if b[2] == 0 || v < 0x80 {
			return 0, 0, fail(NotDER, fmt.Sprintf("length not in its shortest form at byte %d", at))
		}
		if uint64(v) > uint64(len(b)) {
			return 0, 0, fail(NotDER, fmt.Sprintf("element at byte %d is longer than what holds it (cut off?)", at))
		}
		head, length = 2+n, int(v)
	}
	if length > len(b)-head {
		return 0, 0, fail(NotDER, fmt.Sprintf("element at byte %d is longer than what holds it (cut off?)", at))
	}
	return head, length, nil
}

// checkTag refuses tags that need more than one byte, strings in pieces, and
// sequences or sets that are not constructed.
func checkTag(tag byte, at int) error {
	if tag&0x1f == 0x1f {
		return fail(NotDER, fmt.Sprintf("tag of several bytes at byte %d", at))
	}
	if tag == 0 {
		return fail(NotDER, fmt.Sprintf("end-of-contents mark at byte %d: this is BER, not DER", at))
	}
	if tag&0xc0 != 0 {
		return nil
	}
	list := tag&0x1f == 0x10 || tag&0x1f == 0x11
	if constructed := tag&0x20 != 0; constructed != list {
		return fail(NotDER, fmt.Sprintf("string in pieces or flat list at byte %d: this is not DER", at))
	}
	return nil
}

// checkPrimitive refuses values that OpenSSL refuses wherever they stand, even
// where nobody looks at them.
func checkPrimitive(tag byte, v []byte, at int) error {
	ok := true
	switch cbasn1.Tag(tag) {
	case tagBoolean:
		ok = len(v) == 1
	case tagInteger, cbasn1.ENUM:
		ok = isInteger(v)
	case tagNull:
		ok = len(v) == 0
	case tagOID:
		ok = isOID(v)
	case tagBitString:
		ok = isBitString(v)
	case tagBMP:
		ok = len(v)%2 == 0
	case tagUniversal:
		ok = len(v)%4 == 0
	}
	if !ok {
		return fail(NotDER, fmt.Sprintf("the value of type %d at byte %d is malformed", tag, at))
	}
	return nil
}

// isInteger reports whether v is the content of an INTEGER in its shortest form.
func isInteger(v []byte) bool {
	return len(v) == 1 || len(v) > 1 && !(v[0] == 0 && v[1] < 0x80 || v[0] == 0xff && v[1] >= 0x80)
}

// isOID reports whether v is the content of an OBJECT IDENTIFIER: whole, and no
// leading zero digit in any arc.
func isOID(v []byte) bool {
	if len(v) == 0 || v[len(v)-1]&0x80 != 0 {
		return false
	}
	for i := range v {
		if v[i] == 0x80 && (i == 0 || v[i-1]&0x80 == 0) {
			return false
		}
	}
	return true
}

// isBitString reports whether v is the content of a BIT STRING whose unused
// bits are zero. OpenSSL accepts others, but writes them as zeros before it
// verifies what they stand in.
func isBitString(v []byte) bool {
	if len(v) < 2 {
		return len(v) == 1 && v[0] == 0
	}
	return v[0] <= 7 && v[len(v)-1]&(1<<v[0]-1) == 0
}

// readAny takes one element of any kind off s, header included.
func readAny(s *cryptobyte.String) (cryptobyte.String, bool) {
	var e cryptobyte.String
	var tag cbasn1.Tag
	ok := s.ReadAnyASN1Element(&e, &tag)
	return e, ok
}

// readInteger takes an INTEGER off s and returns its content bytes, in the
// shortest two's complement form.
func readInteger(s *cryptobyte.String, tag cbasn1.Tag) ([]byte, bool) {
	var v cryptobyte.String
	ok := s.ReadASN1(&v, tag) && isInteger(v)
	return v, ok
}

// readOID takes an OBJECT IDENTIFIER off s and returns its content bytes.
func readOID(s *cryptobyte.String) (string, bool) {
	var v cryptobyte.String
	ok := s.ReadASN1(&v, tagOID) && isOID(v)
	return string(v), ok
}

// algorithm is an AlgorithmIdentifier. params is the parameter element with its
// header, or nil.
type algorithm struct {
	oid    string
	params []byte
	raw    []byte
}

// readAlgorithm takes an AlgorithmIdentifier off s.
func readAlgorithm(s *cryptobyte.String) (algorithm, bool) {
	var a algorithm
	var raw, body cryptobyte.String
	if !s.ReadASN1Element(&raw, tagSequence) {
		return a, false
	}
	a.raw = raw
	if !raw.ReadASN1(&body, tagSequence) {
		return a, false
	}
	var ok bool
	if a.oid, ok = readOID(&body); !ok {
		return a, false
	}
	if !body.Empty() {
		p, ok := readAny(&body)
		if !ok || !body.Empty() {
			return a, false
		}
		a.params = p
	}
	return a, true
}

// plain reports whether the parameters are absent or NULL.
func (a algorithm) plain() bool {
	return a.params == nil || string(a.params) == "\x05\x00"
}
