// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// encoder appends values, in little-endian order (specification, "Marshaling").
type encoder struct {
	b     []byte
	start int // of the message in b
}

func (e *encoder) align(n int) {
	for (len(e.b)-e.start)&(n-1) != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) uint32(n uint32) {
	e.align(4)
	e.b = binary.LittleEndian.AppendUint32(e.b, n)
}

func (e *encoder) uint64(n uint64) {
	e.align(8)
	e.b = binary.LittleEndian.AppendUint64(e.b, n)
}

func (e *encoder) string(s string) error {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("%.64q is no D-Bus string: not UTF-8, or with a zero byte", s)
	}
	e.uint32(uint32(len(s)))
	e.b = append(append(e.b, s...), 0)
	return nil
}

func (e *encoder) path(p ObjectPath) error {
	if !p.valid() {
		return fmt.Errorf("%.64q is no D-Bus object path", p)
	}
	return e.string(string(p))
}

func (e *encoder) signature(s Signature) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("%.64q: %w", s, err)
	}
	e.b = append(e.b, byte(len(s)))
	e.b = append(append(e.b, s...), 0)
	return nil
}

// typeOf is the D-Bus type of a value that can be sent; "" of another.
func typeOf(value any) Signature {
	switch v := value.(type) {
	case bool:
		return "b"
	case int32:
		return "i"
	case uint32:
		return "u"
	case uint64:
		return "t"
	case string:
		return "s"
	case ObjectPath:
		return "o"
	case Signature:
		return "g"
	case Variant:
		return "v"
	case []string:
		return "as"
	case []uint32:
		return "au"
	case map[string]any:
		return "a{sv}"
	case Array:
		return "a" + v.Element
	case Struct:
		return "(" + typesOf(v) + ")"
	}
	return ""
}

func typesOf(values []any) (s Signature) {
	for _, v := range values {
		s += typeOf(v)
	}
	return s
}

// value appends a value.
func (e *encoder) value(value any) error {
	switch v := value.(type) {
	case bool:
		n := uint32(0)
		if v {
			n = 1
		}
		e.uint32(n)
	case int32:
		e.uint32(uint32(v))
	case uint32:
		e.uint32(v)
	case uint64:
		e.uint64(v)
	case string:
		return e.string(v)
	case ObjectPath:
		return e.path(v)
	case Signature:
		return e.signature(v)
	default:
		return e.container(value)
	}
	return nil
}

// container appends a value in which there are others.
func (e *encoder) container(value any) error {
	switch v := value.(type) {
	case Variant:
		if err := e.signature(typeOf(v.Value)); err != nil {
			return err
		}
		return e.value(v.Value)
	case Struct:
		e.align(8)
		for _, field := range v {
			if err := e.value(field); err != nil {
				return err
			}
		}
		return nil
	case []string:
		return array(e, 's', v, e.string)
	case []uint32:
		return array(e, 'u', v, func(n uint32) error { e.uint32(n); return nil })
	case map[string]any:
		return e.dict(v)
	case Array:
		if rest, err := checkOne(string(v.Element), 0, 0); err != nil || rest != "" {
			return fmt.Errorf("array of %q, which is not one type", v.Element)
		}
		return array(e, v.Element[0], v.Values, func(element any) error {
			if t := typeOf(element); t != v.Element {
				return fmt.Errorf("array of %q has an element of type %q", v.Element, t)
			}
			return e.value(element)
		})
	}
	return fmt.Errorf("a %T cannot be sent over D-Bus", value)
}

// array appends the list, whose elements are of a type that begins with c.
func array[T any](e *encoder, c byte, list []T, element func(T) error) error {
	e.uint32(0)
	length := len(e.b) - 4
	e.align(alignment(c))
	begin := len(e.b)
	for _, v := range list {
		if err := element(v); err != nil {
			return err
		}
	}
	binary.LittleEndian.PutUint32(e.b[length:], uint32(len(e.b)-begin))
	return nil
}

func (e *encoder) dict(m map[string]any) error {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	return array(e, '{', keys, func(key string) error {
		e.align(8)
		if err := e.string(key); err != nil {
			return err
		}
		return e.value(Variant{m[key]})
	})
}
