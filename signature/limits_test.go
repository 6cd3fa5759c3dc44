// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"fmt"
	"strings"
	"testing"
)

// TestMaxNameText: a name in a message is cut, never longer than maxNameText
// and the mark, each character of it escaped first.
func TestMaxNameText(t *testing.T) {
	of := func(values ...string) string {
		n := &name{}
		for _, v := range values {
			n.entries = append(n.entries, nameEntry{oid: oidCommonName, value: v})
		}
		return n.String()
	}
	whole := strings.Repeat("x", maxNameText-len("CN="))
	if got := of(whole); got != "CN="+whole {
		t.Errorf("exactly maxNameText: %d bytes, …%s", len(got), got[len(got)-5:])
	}
	for i, values := range [][]string{{whole + "x"}, {whole, ""}, {strings.Repeat("\x1b", 1000)}, {strings.Repeat("ä", 1000)}, strings.Split(strings.Repeat("x,", 1000), ",")} {
		if got := of(values...); len(got) > maxNameText+len("…") || !strings.HasSuffix(got, "…") {
			t.Errorf("%d: %d bytes, …%s", i, len(got), got[len(got)-5:])
		}
	}
}

// TestMaxPEMName: a block's name in a message is cut.
func TestMaxPEMName(t *testing.T) {
	whole := strings.Repeat("x", maxPEMName)
	for name, want := range map[string]string{whole: whole, whole + "x": whole} {
		b := pemBlock{name: name, line: 1}
		if got := b.broken("why").Error(); !strings.Contains(got, fmt.Sprintf("%q", want)) {
			t.Errorf("%d bytes: %s", len(name), got)
		}
	}
}
