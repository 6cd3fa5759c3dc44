// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// field is one of a header.
type field struct {
	code  byte
	value any
}

// appendCall appends the message that c is to b, which may have others in it.
func appendCall(b []byte, c *Call) ([]byte, error) {
	flags := byte(0)
	if c.NoAutoStart {
		flags = flagNoAutoStart
	}
	e := encoder{append(b, 'l', kindCall, flags, 1, 0, 0, 0, 0), len(b)}
	e.uint32(c.serial)
	err := e.fields(c)
	e.align(8)
	body := len(e.b)
	for _, arg := range c.Args {
		if err == nil {
			err = e.value(arg)
		}
	}
	if length := len(e.b) - e.start; err == nil && length > MaxMessage {
		err = fmt.Errorf("message of %d bytes is longer than %d", length, MaxMessage)
	}
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", c.Method, err)
	}
	binary.LittleEndian.PutUint32(e.b[e.start+4:], uint32(len(e.b)-body))
	return e.b, nil
}

// fields appends the header fields of a call.
func (e *encoder) fields(c *Call) error {
	dot := strings.LastIndexByte(c.Method, '.')
	if dot < 0 {
		return errors.New("no interface")
	}
	list := []field{
		{fieldPath, c.Object.Path}, {fieldInterface, c.Method[:dot]}, {fieldMember, c.Method[dot+1:]},
		{fieldDestination, c.Object.Name}, {fieldSignature, typesOf(c.Args)},
	}
	if len(c.Args) == 0 {
		list = list[:4]
	}
	return array(e, '(', list, func(f field) error {
		e.align(8)
		e.b = append(e.b, f.code)
		return e.value(Variant{f.value})
	})
}
