// SPDX-License-Identifier: GPL-3.0-or-later

// Package logs hands messages with fields to a core of zap (zapcore). Package
// agent logs with it, cmd/usbagent builds the core.
//
// It is what the program used of zap's own Logger; that one is in a package
// that brings an HTTP server along, half a megabyte on the board.
package logs

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap/zapcore"
)

// Field is a name and a text that go with a message.
type Field struct{ key, value string }

// Logger writes messages. It is safe for concurrent use as far as its core is.
type Logger struct {
	core zapcore.Core
	name string
}

// New returns a logger that writes to core.
func New(core zapcore.Core) *Logger { return &Logger{core: core} }

// NewNop returns a logger that writes nothing.
func NewNop() *Logger { return New(zapcore.NewNopCore()) }

// With returns a logger that adds these fields to every message.
func (l *Logger) With(fields ...Field) *Logger {
	return &Logger{core: l.core.With(ofZap(fields)), name: l.name}
}

// Named returns a logger whose entries bear the name.
func (l *Logger) Named(name string) *Logger { return &Logger{core: l.core, name: name} }

// Info logs what happens as it should.
func (l *Logger) Info(message string, fields ...Field) { l.log(zapcore.InfoLevel, message, fields) }

// Warn logs what is not as it should be, and is done without.
func (l *Logger) Warn(message string, fields ...Field) { l.log(zapcore.WarnLevel, message, fields) }

// Error logs what somebody has to see to.
func (l *Logger) Error(message string, fields ...Field) { l.log(zapcore.ErrorLevel, message, fields) }

// log writes an entry where the core wants it. What the core cannot write is
// told on the standard error output.
func (l *Logger) log(level zapcore.Level, message string, fields []Field) {
	if !l.core.Enabled(level) {
		return
	}
	entry := zapcore.Entry{LoggerName: l.name, Time: time.Now(), Level: level, Message: message}
	if checked := l.core.Check(entry, nil); checked != nil {
		checked.ErrorOutput = zapcore.Lock(os.Stderr)
		checked.Write(ofZap(fields)...)
	}
}

// ofZap returns the fields as a core takes them. It needs to know no other type
// than texts.
func ofZap(fields []Field) []zapcore.Field {
	list := make([]zapcore.Field, len(fields))
	for i, f := range fields {
		list[i] = zapcore.Field{Key: f.key, Type: zapcore.StringType, String: f.value}
	}
	return list
}

// String is a field with a text.
func String(key, value string) Field { return Field{key, value} }

// Strings is a field with a list.
func Strings(key string, values []string) Field { return String(key, fmt.Sprint(values)) }

// Bool is a field with true or false.
func Bool(key string, value bool) Field { return String(key, strconv.FormatBool(value)) }

// Int is a field with a number.
func Int(key string, value int) Field { return String(key, strconv.Itoa(value)) }

// Uint64 is a field with a number.
func Uint64(key string, value uint64) Field { return String(key, strconv.FormatUint(value, 10)) }

// Stringer is a field with what a value says of itself, a time.Duration for
// example.
func Stringer(key string, value fmt.Stringer) Field { return String(key, value.String()) }

// Error is the field "error", empty where there is none.
func Error(err error) Field {
	if err == nil {
		return String("error", "")
	}
	return String("error", err.Error())
}
