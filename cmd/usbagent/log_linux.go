// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"strings"

	"go.uber.org/zap/zapcore"

	"usbagent/agent"
	"usbagent/internal/logs"
)

// newLogger logs into the journal with fields of its own where the service
// manager has connected the standard error output to it, else readable lines there.
func newLogger(level string) (*logs.Logger, error) {
	at, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	if stderrIsJournal() {
		return logs.New(core{LevelEnabler: at, send: toJournald(&journalSocket{path: journalPath})}), nil
	}
	return logs.New(core{LevelEnabler: at, send: toStderr}), nil
}

// core makes one line of each entry: the message, then key=value for each
// field, so that a line read out on the telephone is complete.
type core struct {
	zapcore.LevelEnabler
	fields []zapcore.Field
	send   func(e zapcore.Entry, line string, fields map[string]string) error
}

func (c core) With(fields []zapcore.Field) zapcore.Core {
	c.fields = append(c.fields[:len(c.fields):len(c.fields)], fields...)
	return c
}

func (c core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c core) Sync() error { return nil }

func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := make(map[string]string)
	line := strings.Builder{}
	line.WriteString(e.Message) // constant, or a line that autorun made printable
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		if value := agent.ShowMessage(f.String); value != "" {
			values[f.Key] = value
			fmt.Fprintf(&line, " %s=%s", f.Key, quoted(value))
		}
	}
	return c.send(e, line.String(), values)
}

// toStderr writes a readable line with the time of day. A script's lines come
// under the name that they have in the journal.
func toStderr(e zapcore.Entry, line string, _ map[string]string) error {
	if e.LoggerName != "" {
		line = e.LoggerName + ": " + line
	}
	_, err := fmt.Fprintf(os.Stderr, "%s %-5s %s\n", e.Time.Format("15:04:05.000"), e.Level, line)
	return err
}

// toJournald speaks systemd-journald's own protocol (sd_journal_send(3)):
// every field becomes USBAGENT_<KEY>.
func toJournald(journal *journalSocket) func(zapcore.Entry, string, map[string]string) error {
	return func(e zapcore.Entry, line string, fields map[string]string) error {
		return journal.send(journalMessage(e, line, fields))
	}
}

func journalMessage(e zapcore.Entry, line string, fields map[string]string) []byte {
	b := appendField(nil, "PRIORITY", priority(e.Level))
	b = appendField(b, "MESSAGE", line)
	if e.LoggerName != "" {
		b = appendField(b, "SYSLOG_IDENTIFIER", e.LoggerName)
	} else {
		b = appendField(b, "SYSLOG_IDENTIFIER", "usbagent")
		if id := agent.MessageID(e.Message); id != "" {
			b = appendField(b, "MESSAGE_ID", id)
		}
	}
	for key, value := range fields {
		b = appendField(b, "USBAGENT_"+strings.ToUpper(key), value)
	}
	return b
}

// quoted puts quotation marks around what holds blanks.
func quoted(value string) string {
	if strings.ContainsAny(value, ` "`) {
		return `"` + strings.ReplaceAll(value, `"`, `\"`) + `"`
	}
	return value
}

func priority(l zapcore.Level) string {
	switch {
	case l < zapcore.InfoLevel:
		return priorityDebug
	case l < zapcore.WarnLevel:
		return priorityInfo
	case l < zapcore.ErrorLevel:
		return priorityWarning
	}
	return priorityError
}
