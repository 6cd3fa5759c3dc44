// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

// answerOf is a reply to the call serial, with one value of type "ay" of so many
// bytes, and so many more in a header field that nobody knows.
func answerOf(serial uint32, body, extra int) []byte {
	e := encoder{b: []byte{'l', kindReturn, 0, 1, 0, 0, 0, 0}}
	e.uint32(1)
	array(&e, '(', []field{{fieldReplySerial, serial}, {fieldSignature, Signature("ay")}, {77, strings.Repeat("x", extra)}}, func(f field) error {
		e.align(8)
		e.b = append(e.b, f.code)
		return e.value(Variant{f.value})
	})
	e.align(8)
	binary.LittleEndian.PutUint32(e.b[4:], uint32(4+body))
	e.uint32(uint32(body))
	return append(e.b, make([]byte, body)...)
}

// TestMaxMessage: at the limit a message is read; beyond it what comes after it is,
// and the call that it answers has an error, unless the header is beyond its own.
func TestMaxMessage(t *testing.T) {
	header := len(answerOf(5, 0, 0))
	for _, c := range []struct {
		body, extra    int
		whole, answers bool
	}{
		{MaxMessage - header, 0, true, true},
		{MaxMessage - header + 1, 0, false, true},
		{MaxMessage, MaxFields - 64, false, true},
		{MaxMessage, MaxFields, false, false},
		{0, MaxMessage, false, false},
		{8 * MaxMessage, 0, false, true},
	} {
		in := bufio.NewReader(bytes.NewReader(append(answerOf(5, c.body, c.extra), answerOf(6, 1, 0)...)))
		m, err := readMessage(in)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		values, err := m.values()
		if (err == nil && len(values[0].([]byte)) == c.body) != c.whole || (m.answers == 5) != c.answers || (m.kind == kindReturn) != c.answers {
			t.Errorf("%+v: %d values, %v, answers %d", c, len(values), err, m.answers)
		}
		if !c.whole && !strings.Contains(err.Error(), "bytes are more than 1048576") {
			t.Errorf("%+v: %v", c, err)
		}
		if next, err := readMessage(in); err != nil || next.answers != 6 {
			t.Errorf("%+v: the next one: %+v, %v", c, next, err)
		}
	}
}

// TestHeaderRefused: after such a message nothing more is read.
func TestHeaderRefused(t *testing.T) {
	good := string(encoded(t, binary.LittleEndian))
	change := func(at int, text string) string { return good[:at] + text + good[at+len(text):] }
	header := func(kind byte, fields ...field) string {
		e := encoder{b: []byte{'l', kind, 0, 1, 0, 0, 0, 0}}
		e.uint32(1)
		array(&e, '(', fields, func(f field) error {
			e.align(8)
			e.b = append(e.b, f.code)
			return e.value(Variant{f.value})
		})
		e.align(8)
		return string(e.b)
	}
	ends := func(text string, n int) string { return text[:12] + le(n) + text[16:] }
	path, iface, member := field{fieldPath, ObjectPath("/")}, field{fieldInterface, "i.f"}, field{fieldMember, "M"}
	for name, c := range map[string]struct{ text, want string }{
		"byte order":                  {change(0, "x"), "it begins with 78 04 00 01"},
		"type 0":                      {change(1, "\x00"), "it begins with 6c 00 00 01"},
		"another version":             {change(3, "\x02"), "it begins with 6c 04 00 02"},
		"no serial":                   {change(8, le(0)), "its serial is 0"},
		"longer than allowed":         {change(4, le(MaxSpecified)), "bytes are more than 134217728"},
		"much longer":                 {change(4, le(-1)), "bytes are more than 134217728"},
		"header is much longer":       {change(12, le(-1)), "bytes are more than 134217728"},
		"header that ends in a field": {ends(header(kindSignal, path, iface, member), 9), "array should have ended at byte 9"},
		"path of another type":        {header(kindSignal, field{fieldPath, "/"}, iface, member), "header field 1 is a string"},
		"serial of a string":          {header(kindReturn, field{fieldReplySerial, "1"}), "header field 5 is a string"},
		"field 0":                     {header(kindSignal, path, iface, member, field{0, "x"}), "header field 0 is a string"},
		"no path":                     {header(kindSignal, iface, member), "no path in its header"},
		"no interface":                {header(kindSignal, path, member), "no interface in its header"},
		"no member":                   {header(kindCall, path), "no member in its header"},
		"no reply serial":             {header(kindReturn), "no reply serial in its header"},
		"no error name":               {header(kindError, field{fieldReplySerial, uint32(1)}), "no error name in its header"},
	} {
		if _, _, err := decoded([]byte(c.text)); err == nil || !strings.Contains(err.Error(), "read a D-Bus message: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for n := range len(good) {
		_, _, err := decoded([]byte(good[:n]))
		if want := io.ErrUnexpectedEOF; n == 0 && err != io.EOF || n > 0 && !errors.Is(err, want) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	if m, _, err := decoded([]byte(header(200, field{99, "of a type and with a field that nobody knows"}))); err != nil || m.kind != 200 {
		t.Errorf("unknown, and well-formed: %v", err)
	}
}
