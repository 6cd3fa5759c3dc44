// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxNameParts is how many attributes a name may have.
const MaxNameParts = 256

// maxNameText bounds a name in messages and logs, in bytes.
const maxNameText = 256

// The string types of names (X.520), by tag.
const (
	tagUTF8      = cbasn1.UTF8String
	tagNumeric   = cbasn1.Tag(18)
	tagPrintable = cbasn1.PrintableString
	tagT61       = cbasn1.T61String
	tagIA5       = cbasn1.IA5String
	tagUniversal = cbasn1.Tag(28)
	tagBMP       = cbasn1.Tag(30)
)

// name is a distinguished name. Two names are the same when their canonical
// forms are, as in OpenSSL: strings as UTF-8 in lower case (ASCII only) with
// white space trimmed and collapsed.
type name struct {
	raw       []byte // all of it, with its header
	canonical string
	entries   []nameEntry
}

type nameEntry struct {
	oid   string
	tag   cbasn1.Tag
	raw   []byte
	value string // UTF-8
}

// readName takes a Name off s.
func readName(s *cryptobyte.String) (*name, error) {
	var element, rdns cryptobyte.String
	if !s.ReadASN1Element(&element, tagSequence) {
		return nil, fail(Malformed, "a name is not a sequence")
	}
	n := &name{raw: element}
	element.ReadASN1(&rdns, tagSequence)
	var canonical []byte
	for !rdns.Empty() {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, tagSet) {
			return nil, fail(Malformed, "a part of a name is not a set")
		}
		c, err := n.readSet(set)
		if err != nil {
			return nil, err
		}
		canonical = append(canonical, c...)
	}
	n.canonical = string(canonical)
	return n, nil
}

// readSet reads the attributes of one relative name and returns its canonical
// form.
func (n *name) readSet(set cryptobyte.String) ([]byte, error) {
	var parts [][]byte
	for !set.Empty() {
		if len(n.entries) >= MaxNameParts {
			return nil, fail(TooLarge, fmt.Sprintf("a name has more than %d parts", MaxNameParts))
		}
		e, err := readNameEntry(&set)
		if err != nil {
			return nil, err
		}
		n.entries = append(n.entries, e)
		parts = append(parts, e.canonical())
	}
	if len(parts) == 0 {
		return nil, nil
	}
	sort.Slice(parts, func(i, j int) bool { return bytes.Compare(parts[i], parts[j]) < 0 })
	var b cryptobyte.Builder
	b.AddASN1(tagSet, func(b *cryptobyte.Builder) {
		for _, p := range parts {
			b.AddBytes(p)
		}
	})
	return b.Bytes()
}

func readNameEntry(set *cryptobyte.String) (nameEntry, error) {
	var e nameEntry
	var entry, value cryptobyte.String
	if !set.ReadASN1(&entry, tagSequence) {
		return e, fail(Malformed, "a part of a name is not a sequence")
	}
	var ok bool
	if e.oid, ok = readOID(&entry); !ok {
		return e, fail(Malformed, "a part of a name has no type")
	}
	if !entry.ReadAnyASN1(&value, &e.tag) || !entry.Empty() {
		return e, fail(Malformed, "a part of a name has no value")
	}
	e.raw = value
	if e.value, ok = decodeString(e.tag, value); !ok {
		return e, fail(Malformed, fmt.Sprintf("a name has a string of type %d that cannot be read", e.tag))
	}
	return e, nil
}

// decodeString turns a string of a name into UTF-8.
func decodeString(tag cbasn1.Tag, b []byte) (string, bool) {
	switch tag {
	case tagUTF8:
		return string(b), utf8.Valid(b)
	case tagNumeric, tagPrintable, tagT61, tagIA5: // bytes are Latin-1, as in OpenSSL
		r := make([]rune, len(b))
		for i, c := range b {
			r[i] = rune(c)
		}
		return string(r), true
	case tagBMP:
		if len(b)%2 != 0 {
			return "", false
		}
		r := make([]rune, 0, len(b)/2)
		for ; len(b) > 0; b = b[2:] {
			c := rune(b[0])<<8 | rune(b[1])
			if utf16.IsSurrogate(c) {
				return "", false
			}
			r = append(r, c)
		}
		return string(r), true
	case tagUniversal:
		if len(b)%4 != 0 {
			return "", false
		}
		r := make([]rune, 0, len(b)/4)
		for ; len(b) > 0; b = b[4:] {
			c := rune(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]))
			if c < 0 || !utf8.ValidRune(c) {
				return "", false
			}
			r = append(r, c)
		}
		return string(r), true
	}
	return "", false
}

// canonical is the attribute in the form that OpenSSL compares.
func (e nameEntry) canonical() []byte {
	tag, value := tagUTF8, fold(e.value)
	if e.tag == tagNumeric { // left as it is
		tag, value = tagNumeric, string(e.raw)
	}
	var b cryptobyte.Builder
	b.AddASN1(tagSequence, func(b *cryptobyte.Builder) {
		b.AddASN1(tagOID, func(b *cryptobyte.Builder) { b.AddBytes([]byte(e.oid)) })
		b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
	})
	return b.BytesOrPanic()
}

// fold trims and collapses white space and lowers ASCII letters.
func fold(s string) string {
	space := func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' }
	var out strings.Builder
	gap := false
	for _, r := range strings.TrimFunc(s, space) {
		if space(r) {
			gap = true
			continue
		}
		if gap {
			out.WriteByte(' ')
			gap = false
		}
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		out.WriteRune(r)
	}
	return out.String()
}

// String returns the name for people, last part first as in RFC 2253, with
// everything escaped that is not a printable character, at most maxNameText
// bytes.
func (n *name) String() string {
	if len(n.entries) == 0 {
		return "(empty name)"
	}
	var out strings.Builder
	for i := len(n.entries) - 1; i >= 0; i-- {
		e := n.entries[i]
		if out.Len() > 0 {
			out.WriteByte(',')
		}
		out.WriteString(nameType(e.oid))
		out.WriteByte('=')
		out.WriteString(escapeName(e.value))
		if out.Len() > maxNameText {
			return strings.ToValidUTF8(out.String()[:maxNameText], "") + "…"
		}
	}
	return out.String()
}

func escapeName(s string) string {
	if len(s) > maxNameText {
		s = strings.ToValidUTF8(s[:maxNameText], "") + "…"
	}
	var out strings.Builder
	for _, r := range s {
		switch {
		case strings.ContainsRune(`,+"\<>;=`, r):
			out.WriteByte('\\')
			out.WriteRune(r)
		case strconv.IsPrint(r):
			out.WriteRune(r)
		default:
			q := strconv.QuoteRuneToASCII(r)
			out.WriteString(q[1 : len(q)-1])
		}
	}
	return out.String()
}

var nameTypes = map[string]string{
	oidCommonName:   "CN",
	"\x55\x04\x04":  "SN",
	"\x55\x04\x05":  "serialNumber",
	"\x55\x04\x06":  "C",
	"\x55\x04\x07":  "L",
	"\x55\x04\x08":  "ST",
	"\x55\x04\x09":  "street",
	"\x55\x04\x0a":  "O",
	"\x55\x04\x0b":  "OU",
	"\x55\x04\x0c":  "title",
	oidEmailAddress: "emailAddress",
	"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19": "DC",
	"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01": "UID",
}

func nameType(oid string) string {
	if t := nameTypes[oid]; t != "" {
		return t
	}
	return dotted(oid)
}
