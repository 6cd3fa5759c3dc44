// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// What toml.Unmarshal checks beside the grammar, which is the parser's: that
// nothing is defined twice, and that numbers, dates and times are some. A test
// holds it to toml.Unmarshal, which is not in the program: it brings reflection
// over all kinds of values along.

// syntaxError says why a text is no TOML, and where.
type syntaxError struct {
	at      position
	message string
}

// wrong returns the first thing that makes text no TOML, or nil.
func wrong(text []byte) *syntaxError {
	var p unstable.Parser
	p.Reset(text)
	place := func(raw unstable.Range) position {
		start := p.Shape(raw).Start
		return position{start.Line, start.Column}
	}
	var root table
	current := &root
	for p.NextExpression() {
		node := p.Expression()
		message := ""
		if node.Kind == unstable.KeyValue {
			message = current.set(parts(node), node.Value())
		} else {
			current, message = root.header(parts(node), node.Kind == unstable.ArrayTable)
		}
		if message != "" {
			it := node.Key()
			it.Next()
			return &syntaxError{place(it.Node().Raw), message}
		}
		if node.Kind == unstable.KeyValue {
			if bad, message := badScalar(node.Value()); bad != nil {
				return &syntaxError{place(p.Range(bad)), message}
			}
		}
	}
	var broken *unstable.ParserError
	switch err := p.Error(); {
	case err == nil:
		return nil
	case errors.As(err, &broken):
		return &syntaxError{place(p.Range(broken.Highlight)), broken.Message}
	default:
		return &syntaxError{message: err.Error()}
	}
}

// table is what a key stands for: a table, or a value, which may have keys of
// its own (an inline table).
type table struct {
	is    origin
	below map[string]*table
}

// origin is what made a table, which decides what may be added to it.
type origin int

const (
	aboveHeader origin = iota // [it.other]; the root too
	ownHeader                 // [it]
	dotted                    // it.other = value
	repeated                  // [[it]]
	assigned                  // it = value
)

func (o origin) String() string {
	return [...]string{"table", "table", "kv-table", "array-table", "value"}[o]
}

// get returns what name stands for; what is new is made.
func (t *table) get(name string, is origin) (x *table, isNew bool) {
	if x := t.below[name]; x != nil {
		return x, false
	}
	if t.below == nil {
		t.below = make(map[string]*table)
	}
	x = &table{is: is}
	t.below[name] = x
	return x, true
}

// header enters a [header], or a [[header]], below the root t. The message is
// empty where that may be.
func (t *table) header(parts []string, list bool) (entered *table, message string) {
	last := len(parts) - 1
	for _, name := range parts[:last] {
		if t, _ = t.get(name, aboveHeader); t.is == assigned {
			return t, fmt.Sprintf("key %s already exists as a value", name)
		}
	}
	is, name := ownHeader, parts[last]
	if list {
		is = repeated
	}
	t, isNew := t.get(name, is)
	switch {
	case isNew:
	case list && t.is != repeated:
		message = fmt.Sprintf("key %s already exists as a %s, but should be an array table", name, t.is)
	case list:
		t.below = nil // another one, which may have the same keys
	case t.is == aboveHeader:
		t.is = ownHeader
	case t.is == ownHeader:
		message = fmt.Sprintf("table %s already exists", name)
	case t.is == dotted:
		message = fmt.Sprintf("table %s already exists as defined by a dotted key", name)
	case t.is == repeated:
		message = fmt.Sprintf("table %s already exists as an array of tables", name)
	default:
		message = fmt.Sprintf("key %s should be a table, not a %s", name, t.is)
	}
	return t, message
}

// set enters a key and its value below t.
func (t *table) set(parts []string, v *unstable.Node) (message string) {
	last := len(parts) - 1
	for i, name := range parts {
		is := dotted
		if i == last {
			is = assigned
		}
		var isNew bool
		if t, isNew = t.get(name, is); !isNew && (i == last || t.is != dotted) {
			return fmt.Sprintf("key %s is already defined", name)
		}
	}
	return t.fill(v)
}

// fill enters the keys of a value's inline tables.
func (t *table) fill(v *unstable.Node) (message string) {
	for it := v.Children(); message == "" && it.Next(); {
		switch child := it.Node(); {
		case v.Kind == unstable.InlineTable:
			message = t.set(parts(child), child.Value())
		case child.Kind == unstable.InlineTable, child.Kind == unstable.Array:
			message = new(table).fill(child)
		}
	}
	return message
}

// parts returns the parts of a key.
func parts(node *unstable.Node) []string {
	var list []string
	for it := node.Key(); it.Next(); {
		list = append(list, string(it.Node().Data))
	}
	return list
}

// badScalar returns the first scalar of a value that is none, and why.
func badScalar(v *unstable.Node) (bad []byte, message string) {
	switch v.Kind {
	case unstable.Array, unstable.InlineTable:
		for it := v.Children(); bad == nil && it.Next(); {
			child := it.Node()
			if child.Kind == unstable.KeyValue {
				child = child.Value()
			}
			bad, message = badScalar(child)
		}
		return bad, message
	case unstable.Integer:
		message = badInteger(string(v.Data))
	case unstable.Float:
		message = badFloat(string(v.Data))
	case unstable.LocalDate, unstable.LocalTime, unstable.LocalDateTime, unstable.DateTime:
		message = badTime(v.Kind, string(v.Data))
	}
	if message == "" {
		return nil, ""
	}
	return v.Data, message
}

func badInteger(text string) string {
	if _, err := strconv.ParseInt(text, 0, 64); err == nil {
		return ""
	}
	base := "decimal"
	if len(text) > 2 {
		switch text[1] {
		case 'x':
			base = "hexadecimal"
		case 'o':
			base = "octal"
		case 'b':
			base = "binary"
		}
	}
	return base + " number is too large to fit in a 64-bit signed integer"
}

func badFloat(text string) string {
	text = strings.ReplaceAll(text, "_", "")
	if strings.TrimLeft(text, "+-") == "nan" {
		return ""
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil {
		return fmt.Sprintf("unable to parse float: %s", err)
	}
	return ""
}

// badTime checks a date, a time or both. No setting is one, so one message
// does for all mistakes.
func badTime(kind unstable.Kind, text string) string {
	const message = "this is no date or time"
	if kind != unstable.LocalTime {
		date := text[:min(len(text), len(time.DateOnly))]
		if _, err := time.Parse(time.DateOnly, date); err != nil {
			return message
		}
		text = text[len(date):]
		if kind == unstable.LocalDate && text == "" {
			return ""
		}
		if kind == unstable.LocalDate || text == "" || !strings.Contains("Tt ", text[:1]) {
			return message
		}
		text = text[1:]
	}
	rest, ok := cutTime(text)
	if ok && kind == unstable.DateTime {
		ok = isZone(rest)
	} else {
		ok = ok && rest == ""
	}
	if !ok {
		return message
	}
	return ""
}

// cutTime cuts HH:MM, HH:MM:SS or HH:MM:SS.F off.
func cutTime(text string) (rest string, ok bool) {
	if len(text) < 5 || !isClock(text[:5]) {
		return "", false
	}
	text = text[5:]
	if !strings.HasPrefix(text, ":") {
		return text, true
	}
	if len(text) < 3 || !isClock("00"+text[:3]) {
		return "", false
	}
	text = text[3:]
	if !strings.HasPrefix(text, ".") {
		return text, true
	}
	rest = strings.TrimLeft(text[1:], "0123456789")
	return rest, len(rest) < len(text)-1
}

func isZone(text string) bool {
	return text == "Z" || text == "z" || len(text) == 6 && (text[0] == '+' || text[0] == '-') && isClock(text[1:])
}

// isClock: HH:MM.
func isClock(text string) bool {
	number := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	return number(text[:2]) && text[:2] < "24" && text[2] == ':' && number(text[3:]) && text[3:] < "60"
}
