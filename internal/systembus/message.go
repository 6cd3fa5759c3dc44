// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"bufio"
	"fmt"
	"io"
)

// Limits of a message.
const (
	// MaxMessage is how long a message may be, in bytes, that is looked at; the
	// slots of a board fill a few thousand. A longer one is read past: an answer
	// is an error then, a signal is nothing.
	MaxMessage = 1 << 20
	// MaxFields is how long the header of a message beyond MaxMessage may be for
	// it to be looked at, in bytes.
	MaxFields = 4 << 10
	// MaxSpecified is the longest message that the specification allows, in
	// bytes. Who sends a longer one is no bus.
	MaxSpecified = 1 << 27
)

// Types of messages, and flags (specification, "Message Format").
const (
	kindCall   = 1
	kindReturn = 2
	kindError  = 3
	kindSignal = 4

	flagNoAutoStart = 2
)

// Header fields (specification, "Header Fields").
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSender      = 7
	fieldSignature   = 8
	fieldDescriptors = 9
)

// message is one that came.
type message struct {
	kind                                byte
	big                                 bool
	path                                ObjectPath
	iface, member, name, sender, target string
	answers                             uint32 // the serial of a call
	types                               Signature
	body                                []byte
	tooLong                             error // it was read past
}

// fixed is the length of the part of the header that always is there, with the
// length of the fields.
const fixed = 16

// readMessage reads one message. An error ends the connection: where the next
// message begins is not known any more, or nobody may say.
func readMessage(in *bufio.Reader) (*message, error) {
	var begin [fixed]byte
	if _, err := io.ReadFull(in, begin[:]); err != nil {
		return nil, err
	}
	m := &message{kind: begin[1], big: begin[0] == 'B'}
	if begin[0] != 'l' && begin[0] != 'B' || begin[3] != 1 || m.kind == 0 {
		return nil, fmt.Errorf("read a D-Bus message: it begins with % x", begin[:4])
	}
	d := decoder{data: begin[:], pos: 4, big: m.big}
	body, serial, fields := int64(d.uint32()), d.uint32(), int64(d.uint32())
	padded := (fields + 7) &^ 7
	length := fixed + padded + body
	switch {
	case length > MaxSpecified:
		return nil, fmt.Errorf("read a D-Bus message: %d bytes are more than %d", length, MaxSpecified)
	case serial == 0:
		return nil, fmt.Errorf("read a D-Bus message: its serial is 0")
	case length > MaxMessage:
		return m, m.readPast(in, int(fields), int(padded), int(body))
	}
	rest := make([]byte, padded+body)
	if _, err := io.ReadFull(in, rest); err != nil {
		return nil, cutShort(err)
	}
	m.body = rest[padded:]
	return m, m.header(rest[:padded], int(fields))
}

// readPast reads the header, where that is short, and no more of m.
func (m *message) readPast(in *bufio.Reader, fields, padded, body int) error {
	m.tooLong = fmt.Errorf("read a D-Bus message: %d bytes are more than %d", fixed+padded+body, MaxMessage)
	if padded > MaxFields {
		m.kind, body, padded = 0, body+padded, 0
	}
	header := make([]byte, padded)
	if _, err := io.ReadFull(in, header); err != nil {
		return cutShort(err)
	}
	if _, err := in.Discard(body); err != nil {
		return cutShort(err)
	}
	if m.kind == 0 {
		return nil
	}
	return m.header(header, fields)
}

// cutShort is the error where a message has begun.
func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// header reads the fields, which end before the padding. Those that are not known
// are skipped.
func (m *message) header(data []byte, end int) error {
	d := decoder{data: data, big: m.big}
	for d.pos < end && d.err == nil {
		d.align(8)
		m.field(&d, d.uint8())
	}
	d.at(end)
	d.align(8)
	if d.err == nil {
		d.err = m.complete()
	}
	return d.err
}

// field reads the field code.
func (m *message) field(d *decoder, code byte) {
	d.depth = 2 // in a structure, in an array
	value := d.container("v")
	good := code != 0
	switch code {
	case fieldPath:
		m.path, good = value.(ObjectPath)
	case fieldInterface:
		m.iface, good = value.(string)
	case fieldMember:
		m.member, good = value.(string)
	case fieldErrorName:
		m.name, good = value.(string)
	case fieldReplySerial:
		m.answers, good = value.(uint32)
	case fieldDestination:
		m.target, good = value.(string)
	case fieldSender:
		m.sender, good = value.(string)
	case fieldSignature:
		m.types, good = value.(Signature)
	case fieldDescriptors:
		_, good = value.(uint32)
	}
	if !good {
		d.fail("header field %d is a %T", code, value)
	}
}

// complete reports which required field is missing.
func (m *message) complete() error {
	missing := ""
	switch {
	case m.path == "" && (m.kind == kindCall || m.kind == kindSignal):
		missing = "path"
	case m.member == "" && (m.kind == kindCall || m.kind == kindSignal):
		missing = "member"
	case m.iface == "" && m.kind == kindSignal:
		missing = "interface"
	case m.name == "" && m.kind == kindError:
		missing = "error name"
	case m.answers == 0 && (m.kind == kindReturn || m.kind == kindError):
		missing = "reply serial"
	}
	if missing != "" {
		return fmt.Errorf("read a D-Bus message: no %s in its header", missing)
	}
	return nil
}

// values are those of the body.
func (m *message) values() ([]any, error) {
	if m.tooLong != nil {
		return nil, m.tooLong
	}
	d := decoder{data: m.body, big: m.big}
	list := d.values(m.types)
	if d.err == nil && d.pos != len(d.data) {
		d.fail("values of type %q end", m.types)
	}
	return list, d.err
}
