// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how many arrays, structures and variants may be in one another in
// a message, whose signatures can each have [MaxNesting] of two kinds.
const MaxDepth = 2 * MaxNesting

// decoder reads values (specification, "Marshaling"). After its first error all
// values are zero.
type decoder struct {
	data  []byte // begins at a multiple of eight bytes of the message
	pos   int
	big   bool // the byte order
	depth int
	err   error
}

// fail keeps the first error. All of them are of this form.
func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("read a D-Bus message: %s at byte %d of %d", fmt.Sprintf(format, args...), d.pos, len(d.data))
	}
}

// take returns the next n bytes, or nil.
func (d *decoder) take(n int) []byte {
	if d.err == nil && n > len(d.data)-d.pos {
		d.fail("end before %d more bytes", n)
	}
	if d.err != nil {
		return nil
	}
	d.pos += n
	return d.data[d.pos-n : d.pos]
}

// align skips padding, which is zero.
func (d *decoder) align(n int) {
	for _, c := range d.take(-d.pos & (n - 1)) {
		if c != 0 {
			d.fail("padding is not zero")
		}
	}
}

func (d *decoder) uint8() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	d.align(2)
	b := d.take(2)
	switch {
	case b == nil:
		return 0
	case d.big:
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func (d *decoder) uint32() uint32 {
	d.align(4)
	b := d.take(4)
	switch {
	case b == nil:
		return 0
	case d.big:
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (d *decoder) uint64() uint64 {
	d.align(8)
	b := d.take(8)
	switch {
	case b == nil:
		return 0
	case d.big:
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}

func (d *decoder) bool() bool {
	n := d.uint32()
	if n > 1 {
		d.fail("boolean is %d", n)
	}
	return n == 1
}

// length reads that of a string or an array, which is no longer than what is left.
func (d *decoder) length(what string) int {
	n := d.uint32()
	if int64(n) > int64(len(d.data)-d.pos) {
		d.fail("%s of %d bytes is longer than the message", what, n)
		return 0
	}
	return int(n)
}

// text reads n bytes and the zero byte after them.
func (d *decoder) text(n int) string {
	b := d.take(n)
	if end := d.take(1); end != nil && end[0] != 0 {
		d.fail("string does not end with a zero byte")
	}
	if d.err != nil {
		return ""
	}
	return string(b)
}

func (d *decoder) string() string {
	s := d.text(d.length("string"))
	if !utf8.ValidString(s) {
		d.fail("string is not UTF-8")
	}
	if strings.IndexByte(s, 0) >= 0 {
		d.fail("string has a zero byte in it")
	}
	return s
}

func (d *decoder) path() ObjectPath {
	p := ObjectPath(d.text(d.length("object path")))
	if d.err == nil && !p.valid() {
		d.fail("object path %.64q is none", p)
	}
	return p
}

func (d *decoder) signature() Signature {
	s := Signature(d.text(int(d.uint8())))
	if err := s.check(); err != nil {
		d.fail("%v", err)
		return ""
	}
	return s
}

// values reads one value of each type of s, which was checked.
func (d *decoder) values(s Signature) (list []any) {
	for rest := string(s); rest != "" && d.err == nil; {
		var one string
		one, rest = cutType(rest)
		list = append(list, d.value(one))
	}
	return list
}

// value reads a value of type t.
func (d *decoder) value(t string) any {
	switch t[0] {
	case 'y':
		return d.uint8()
	case 'b':
		return d.bool()
	case 'n':
		return int16(d.uint16())
	case 'q':
		return d.uint16()
	case 'i':
		return int32(d.uint32())
	case 'u', 'h':
		return d.uint32()
	case 'x':
		return int64(d.uint64())
	case 't':
		return d.uint64()
	case 'd':
		return math.Float64frombits(d.uint64())
	case 's':
		return d.string()
	case 'o':
		return d.path()
	case 'g':
		return d.signature()
	}
	return d.container(t)
}

// container reads a value in which there are others.
func (d *decoder) container(t string) any {
	if d.depth++; d.depth > MaxDepth {
		d.fail("more than %d values in one another", MaxDepth)
	}
	defer func() { d.depth-- }()
	switch {
	case d.err != nil:
		return nil
	case t[0] == 'v':
		return d.variant()
	case t[0] == '(':
		d.align(8)
		return Struct(d.values(Signature(t[1 : len(t)-1])))
	}
	return d.array(t[1:])
}

// variant reads the type of a value, and the value.
func (d *decoder) variant() any {
	s := d.signature()
	if one, rest := "", ""; s != "" {
		if one, rest = cutType(string(s)); rest == "" {
			return d.value(one)
		}
	}
	d.fail("variant of type %q has not one value", s)
	return nil
}

// array reads an array of elements of type t.
func (d *decoder) array(t string) any {
	n := d.length("array")
	d.align(alignment(t[0]))
	end := d.pos + n
	switch {
	case t == "y":
		return append([]byte{}, d.take(n)...)
	case t[0] == '{' && strings.IndexByte("sog", t[1]) >= 0:
		return d.dict(t[1:len(t)-1], end)
	case t[0] == '{': // nobody here looks at such
		t = "(" + t[1:len(t)-1] + ")"
	}
	list := []any{}
	for d.pos < end && d.err == nil {
		list = append(list, d.value(t))
	}
	d.at(end)
	return list
}

// dict reads entries whose key is text; types are those of key and value.
func (d *decoder) dict(types string, end int) any {
	m := map[string]any{}
	for d.pos < end && d.err == nil {
		d.align(8)
		var key string
		switch types[0] {
		case 's':
			key = d.string()
		case 'o':
			key = string(d.path())
		case 'g':
			key = string(d.signature())
		}
		m[key] = d.value(types[1:])
	}
	d.at(end)
	return m
}

// at fails unless an array has ended where its length says.
func (d *decoder) at(end int) {
	if d.pos != end {
		d.fail("array should have ended at byte %d", end)
	}
}
