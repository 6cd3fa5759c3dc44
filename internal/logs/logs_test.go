// SPDX-License-Identifier: GPL-3.0-or-later

package logs_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"usbagent/internal/logs"
)

// TestEntries looks at what a core of zap's own gets.
func TestEntries(t *testing.T) {
	core, seen := observer.New(zapcore.InfoLevel)
	log := logs.New(core)
	before := time.Now()
	child := log.With(logs.String("device", "sda"))
	child.Info("one", logs.Int("code", -5), logs.Bool("at_boot", true))
	child.With(logs.Uint64("diskseq", 1<<63)).Warn("two", logs.Stringer("waited", 1500*time.Millisecond))
	log.Named("usb-autorun").Error("three", logs.Strings("installed", []string{"a", "b c"}), logs.Strings("recorded", nil), logs.Error(errors.New("broken pipe")), logs.Error(nil))
	log.Info("four")

	type entry struct {
		level         zapcore.Level
		name, message string
		fields        []string
	}
	want := []entry{
		{zapcore.InfoLevel, "", "one", []string{"device=sda", "code=-5", "at_boot=true"}},
		{zapcore.WarnLevel, "", "two", []string{"device=sda", "diskseq=9223372036854775808", "waited=1.5s"}},
		{zapcore.ErrorLevel, "usb-autorun", "three", []string{"installed=[a b c]", "recorded=[]", "error=broken pipe", "error="}},
		{zapcore.InfoLevel, "", "four", nil},
	}
	got := seen.All()
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, e := range got {
		var fields []string
		for _, f := range e.Context {
			if f.Type != zapcore.StringType {
				t.Errorf("field %s has type %d", f.Key, f.Type)
			}
			fields = append(fields, f.Key+"="+f.String)
		}
		w := want[i]
		if e.Level != w.level || e.LoggerName != w.name || e.Message != w.message || !slices.Equal(fields, w.fields) {
			t.Errorf("entry %d: %v %q %q %q, want %v", i, e.Level, e.LoggerName, e.Message, fields, w)
		}
		if e.Time.Before(before) || e.Time.After(time.Now()) {
			t.Errorf("entry %d is of %v", i, e.Time)
		}
	}
}

// TestLevel: what the core does not want never reaches it, and a logger that
// writes nothing takes everything.
func TestLevel(t *testing.T) {
	core, seen := observer.New(zapcore.ErrorLevel)
	log := logs.New(core)
	log.Info("one")
	log.Warn("two")
	if seen.Len() != 0 {
		t.Errorf("%v was logged", seen.All())
	}
	logs.NewNop().With(logs.String("device", "sda")).Error("three")
}
