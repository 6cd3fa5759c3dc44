// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"fmt"
	"sort"
	"strings"
)

// Sentences says in words what d means to a board, in the order of its lines.
// The words of the script are quoted and hold nothing that cannot be seen.
func (d Directives) Sentences() []string {
	type sentence struct {
		line int
		text string
	}
	var list []sentence
	add := func(line int, format string, args ...any) {
		list = append(list, sentence{line, fmt.Sprintf("line %d: ", line) + fmt.Sprintf(format, args...)})
	}
	for _, f := range d.Files {
		add(f.Line, "%q has %d bytes with the SHA-256 %x, else the script is refused; it sees these bytes and no others", f.Path, f.Size, f.SHA256)
	}
	if d.Board != nil {
		add(d.lines["board"], "only for boards %s; others skip it", d.Board.words())
	}
	switch d.Run {
	case RunOnce:
		add(d.lines["run"], "it runs once on each system, as without this line")
	case RunAlways:
		add(d.lines["run"], "it runs each time the stick is plugged in, and at each boot with the stick in")
	}
	if d.Requires != nil {
		add(d.lines["requires"], "a usbagent older than %s refuses it", d.Requires)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].line < list[j].line })
	var texts []string
	for _, s := range list {
		texts = append(texts, s.text)
	}
	return texts
}

// words says which boards are meant.
func (t *Target) words() string {
	var parts []string
	for _, part := range []struct {
		what   string
		values []string
	}{{"whose model is ", t.Models}, {"whose serial number is ", t.Serials}} {
		if len(part.values) == 0 {
			continue
		}
		quoted := make([]string, len(part.values))
		for i, v := range part.values {
			quoted[i] = fmt.Sprintf("%q", v)
		}
		parts = append(parts, part.what+strings.Join(quoted, " or "))
	}
	return strings.Join(parts, " and ")
}
