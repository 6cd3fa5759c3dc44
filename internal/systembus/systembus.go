// SPDX-License-Identifier: GPL-3.0-or-later

// Package systembus calls methods and takes in signals over D-Bus, as far as this
// program needs it: RAUC, systemd and logind are called, nothing is offered, and
// no descriptors are passed. It is after the D-Bus specification 0.43
// (https://dbus.freedesktop.org/doc/dbus-specification.html), whose sections the
// comments name.
//
// Dial connects; Call calls and waits, Send and Wait do it for several calls at
// once. Signals come in the connection's own goroutine, in the order in which they
// were sent, and before any answer that was sent after them.
//
// Threat model. Whoever is on the bus may send us signals with anything in them,
// and the one who is called may answer with anything: what comes is bounded, and
// decoded without reflection into the types below; what is not after the
// specification is an error that names it. One who does not answer, or does not
// read, holds up nobody for longer than his context. Who sends, the bus says, and
// nobody can forge; whether to believe him is the caller's business.
package systembus

import (
	"errors"
	"fmt"
)

// Go's types of D-Bus values (specification, "Type System"):
//
//	y byte    n int16   q uint16   b bool      s string       ay      []byte
//	          i int32   u uint32   d float64   o ObjectPath   a{s?}   map[string]any
//	          x int64   t uint64               g Signature    (...)   Struct
//
// Any other array is []any when it comes; strings, numbers and what else is sent
// are []string, []uint32, map[string]any, which is a{sv}, and Array. A variant
// comes as the value in it, and is sent as Variant.
type (
	// ObjectPath names an object of a service.
	ObjectPath string
	// Signature is the types of zero or more values.
	Signature string
	// Variant is a value that is sent with its type.
	Variant struct{ Value any }
	// Struct is the values of a structure.
	Struct []any
	// Array is values that are sent as an array; all have the type Element.
	Array struct {
		Element Signature
		Values  []any
	}
)

// Object is an object of a service, or of a connection by its unique name.
type Object struct {
	Name string
	Path ObjectPath
}

// Bus is the bus itself (specification, "Message Bus Messages").
var Bus = Object{"org.freedesktop.DBus", "/org/freedesktop/DBus"}

// Call is one call of a method. It is used once.
type Call struct {
	Object Object
	Method string // with its interface before it
	Args   []any
	// NoAutoStart keeps the bus from starting the service.
	NoAutoStart bool

	serial uint32
	done   chan struct{} // closed when what follows is there
	body   []any
	err    error
}

// Done is closed when the call was answered, or the connection has ended.
func (c *Call) Done() <-chan struct{} { return c.done }

// Err is what the call ended with when it is done: an Error is the answer.
func (c *Call) Err() error { return c.err }

// Store puts what the call returned where results point; see [Store].
func (c *Call) Store(results ...any) error {
	if c.err != nil {
		return c.err
	}
	return Store(c.body, results...)
}

// Error is an answer that is an error.
type Error struct {
	Name    string
	Message string // may be empty
}

func (e Error) Error() string {
	if e.Message == "" {
		return e.Name
	}
	return e.Message
}

// ErrClosed is wrapped by the errors of a connection that has ended.
var ErrClosed = errors.New("the D-Bus connection is closed")

// Signal is a message that answers nothing.
type Signal struct {
	Sender string // a unique name, or the bus; empty where there is no bus
	Path   ObjectPath
	Name   string // with its interface before it
	Body   []any
}

// Store puts values where results point; there must be as many, of these types. A
// result may be a *string, *bool, *int32, *uint32, *ObjectPath, *[]any,
// *map[string]any, or an *any for what is of any type.
func Store(values []any, results ...any) error {
	if len(values) != len(results) {
		return fmt.Errorf("%d values, want %d", len(values), len(results))
	}
	for i, value := range values {
		good := false
		switch r := results[i].(type) {
		case *any:
			*r, good = value, true
		case *string:
			*r, good = value.(string)
		case *bool:
			*r, good = value.(bool)
		case *int32:
			*r, good = value.(int32)
		case *uint32:
			*r, good = value.(uint32)
		case *ObjectPath:
			*r, good = value.(ObjectPath)
		case *[]any:
			*r, good = value.([]any)
		case *map[string]any:
			*r, good = value.(map[string]any)
		}
		if !good {
			return fmt.Errorf("value %d is a %T, want it for a %T", i+1, value, results[i])
		}
	}
	return nil
}
