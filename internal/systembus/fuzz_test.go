// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"usbagent/test/corpus"
)

// otherKeys are dictionaries whose keys are no text, of which only the number counts.
var otherKeys = regexp.MustCompile(`a\{[^sog]`)

// FuzzMessage: whatever comes, reading it ends, with values or with an error of
// ours; and where godbus reads it too, it has read the same.
func FuzzMessage(f *testing.F) {
	for _, seed := range corpus.Files(f, "testdata/messages/*", 20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, values, err := decoded(b)
		if err != nil {
			if err != io.EOF && err != io.ErrUnexpectedEOF && !strings.Contains(err.Error(), "read a D-Bus message: ") && !strings.Contains(err.Error(), "were not read") {
				t.Errorf("unexpected error: %v", err)
			}
			return
		}
		if len(values) > len(m.body) {
			t.Errorf("%d values of %d bytes", len(values), len(m.body))
		}
		theirs, err := dbus.DecodeMessage(bytes.NewReader(b))
		if err != nil || otherKeys.Match(b) || bytes.ContainsAny(b, "h") {
			return
		}
		if got, want := fmt.Sprint(values), fmt.Sprint(plains(theirs.Body)); got != want {
			t.Errorf("%s, godbus has %s", got, want)
		}
	})
}
