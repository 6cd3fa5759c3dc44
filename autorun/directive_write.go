// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// String is the directive about f as it stands in a script.
func (f File) String() string {
	return fmt.Sprintf("%s file %s sha256=%s size=%d", directiveBegin, quoteWord(f.Path), hex.EncodeToString(f.SHA256[:]), f.Size)
}

// String is the directive about t as it stands in a script.
func (t *Target) String() string {
	var b strings.Builder
	b.WriteString(directiveBegin + " board")
	for _, model := range t.Models {
		b.WriteString(" model=" + quoteWord(model))
	}
	if len(t.Serials) > 0 {
		b.WriteString(" serial=" + quoteWord(strings.Join(t.Serials, ",")))
	}
	return b.String()
}

// Wish is what Rewrite puts into a script. What is empty stays as it is there.
type Wish struct {
	Files    []File // each in place of the directive about the same path
	Models   []string
	Serials  []string
	Run      string
	Requires *Version
}

// Empty reports whether nothing is wished.
func (w Wish) Empty() bool {
	return len(w.Files)+len(w.Models)+len(w.Serials) == 0 && w.Run == "" && w.Requires == nil
}

// Edit is one line that Rewrite has replaced, or added where Old is empty.
type Edit struct {
	Line     int // in the new script, from 1
	Old, New string
}

// Rewrite returns the script with the directives that are wished, and what it
// has changed: nothing, where the script says all that already. All other
// bytes stay as they are. A script with directives that cannot be parsed is
// not touched, and what it returns can be parsed.
func Rewrite(script []byte, w Wish) ([]byte, []Edit, error) {
	found, err := ParseDirectives(script)
	if err != nil {
		return nil, nil, err
	}
	r := rewriter{lines: bytes.SplitAfter(script, []byte("\n")), end: "\n"}
	if first := r.lines[0]; bytes.HasSuffix(first, []byte("\r\n")) {
		r.end = "\r\n"
	}
	r.last(found)
	for _, f := range w.Files {
		line := 0
		for _, other := range found.Files {
			if foldASCII(other.Path) == foldASCII(f.Path) {
				line = other.Line
			}
		}
		r.put(line, f.String())
	}
	if len(w.Models)+len(w.Serials) > 0 {
		r.put(found.lines["board"], w.target(found.Board).String())
	}
	if w.Run != "" {
		r.put(found.lines["run"], directiveBegin+" run "+w.Run)
	}
	if w.Requires != nil {
		r.put(found.lines["requires"], fmt.Sprintf("%s requires usbagent>=%s", directiveBegin, w.Requires))
	}
	out, edits := r.apply()
	if len(edits) > 0 && bytes.HasPrefix(script, byteOrderMark) {
		return nil, nil, errors.New("the script begins with a byte order mark, which a shell takes for a command: remove it first")
	}
	if _, err := ParseDirectives(out); err != nil {
		return nil, nil, err
	}
	return out, edits, nil
}

// target is the board directive that is wished, over the one there is.
func (w Wish) target(before *Target) *Target {
	t := &Target{}
	if before != nil {
		*t = *before
	}
	if len(w.Models) > 0 {
		t.Models = w.Models
	}
	if len(w.Serials) > 0 {
		t.Serials = w.Serials
	}
	return t
}

// rewriter puts directives into the lines of a script.
type rewriter struct {
	lines  [][]byte // with their ends
	end    string   // of new lines
	after  int      // number of lines before the place of new ones
	edits  []Edit   // of lines that are there, by the old number
	adding []string
}

// last finds the place of new directives: after the last one, else after the
// line that begins with "#!", else at the beginning.
func (r *rewriter) last(found Directives) {
	if bytes.HasPrefix(r.lines[0], []byte("#!")) {
		r.after = 1
	}
	for _, f := range found.Files {
		r.after = max(r.after, f.Line)
	}
	for _, line := range found.lines {
		r.after = max(r.after, line)
	}
}

// put replaces the line with this number, or adds one where that is 0.
func (r *rewriter) put(line int, text string) {
	if line == 0 {
		r.adding = append(r.adding, text)
		return
	}
	old := string(bytes.TrimRight(r.lines[line-1], " \t\r\n"))
	if old != text {
		r.edits = append(r.edits, Edit{line, old, text})
	}
}

// apply makes the new script.
func (r *rewriter) apply() ([]byte, []Edit) {
	for _, e := range r.edits {
		end := r.lines[e.Line-1][len(bytes.TrimRight(r.lines[e.Line-1], "\r\n")):]
		r.lines[e.Line-1] = append([]byte(e.New), end...)
	}
	if len(r.adding) > 0 && r.after > 0 && !bytes.HasSuffix(r.lines[r.after-1], []byte("\n")) {
		r.lines[r.after-1] = append(bytes.Clone(r.lines[r.after-1]), r.end...)
	}
	var added [][]byte
	for i := range r.edits {
		if r.edits[i].Line > r.after {
			r.edits[i].Line += len(r.adding)
		}
	}
	for i, text := range r.adding {
		added = append(added, []byte(text+r.end))
		r.edits = append(r.edits, Edit{Line: r.after + i + 1, New: text})
	}
	sort.Slice(r.edits, func(i, j int) bool { return r.edits[i].Line < r.edits[j].Line })
	return bytes.Join(slices.Insert(r.lines, r.after, added...), nil), r.edits
}
