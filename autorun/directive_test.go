// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"usbagent/test/corpus"
)

var sum = strings.Repeat("ab", 32)

func file(path string) string { return "# usbagent: file " + path + " sha256=" + sum + " size=5" }

func script(l ...string) string { return strings.Join(l, "\n") + "\n" }

// good are scripts whose directives are obeyed.
func good() map[string]struct {
	text string
	want Directives
} {
	var hash [32]byte
	copy(hash[:], bytes.Repeat([]byte{0xab}, 32))
	one := func(line int) []File { return []File{{"conf/a.tar", 5, hash, line}} }
	return map[string]struct {
		text string
		want Directives
	}{
		"none":             {"#!/bin/sh\necho # usbagent: no comment line\n", Directives{}},
		"empty":            {"", Directives{}},
		"prose":            {"#!/bin/sh\n# usbagent runs this: once\n# for usbagent: see below\n", Directives{}},
		"file":             {script("#!/bin/sh", file("conf/a.tar"), "tar xf conf/a.tar"), Directives{Files: one(2)}},
		"order, case":      {script("# usbagent: file conf/a.tar size=5 sha256=" + strings.ToUpper(sum)), Directives{Files: one(1)}},
		"no newline":       {file("conf/a.tar"), Directives{Files: one(1)}},
		"quoted":           {file(`"conf/a.tar"`), Directives{Files: one(1)}},
		"CRLF":             {"#!/bin/sh\r\n" + file("conf/a.tar") + "\r\necho\r\n", Directives{Files: one(2)}},
		"byte order mark":  {"\ufeff" + file("conf/a.tar") + "\n", Directives{Files: one(1)}},
		"trailing blanks":  {file("conf/a.tar") + " \t \n", Directives{Files: one(1)}},
		"tabs between":     {"# usbagent:\tfile\tconf/a.tar\tsha256=" + sum + "\tsize=5\n", Directives{Files: one(1)}},
		"blank lines":      {script("#!/bin/sh", "", "# a comment", " \t", "  # another", file("conf/a.tar"), "", "echo"), Directives{Files: one(6)}},
		"run once":         {script("# usbagent: run once"), Directives{Run: RunOnce}},
		"run always":       {script("# usbagent: run always"), Directives{Run: RunAlways}},
		"requires":         {script("# usbagent: requires usbagent>=1.12"), Directives{Requires: &Version{1, 12}}},
		"board":            {script(`# usbagent: board model="chargebyte Tarragon*" serial=CB00123,CB00124`), Directives{Board: &Target{[]string{"chargebyte Tarragon*"}, []string{"CB00123", "CB00124"}}}},
		"board of several": {script(`# usbagent: board serial=1 model="a \"b\" \\c" model="d, e" serial=2`), Directives{Board: &Target{[]string{`a "b" \c`, "d, e"}, []string{"1", "2"}}}},
	}
}

func TestDirectives(t *testing.T) {
	for name, c := range good() {
		got, err := ParseDirectives([]byte(c.text))
		got.lines = nil
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

// bad are scripts that are refused, with the line and a part of the reason.
func bad() map[string]struct {
	text   string
	line   int
	reason string
} {
	many := "# usbagent: run once\n"
	for i := range MaxFiles + 1 {
		many += file(fmt.Sprintf("f%d", i)) + "\n"
	}
	return map[string]struct {
		text   string
		line   int
		reason string
	}{
		"unknown":              {script("#!/bin/sh", "# usbagent: only-on mondays"), 2, `unknown directive "only-on"`},
		"unknown in capitals":  {script("# usbagent: RUN once"), 1, "unknown directive"},
		"empty":                {script("# usbagent:"), 1, "an empty directive"},
		"empty word":           {script(`# usbagent: ""`), 1, "unknown directive"},
		"no blank before":      {script("#usbagent: run once"), 1, "is written"},
		"no blank after":       {script("# usbagent:run once"), 1, "is written"},
		"two blanks":           {script("#  usbagent: run once"), 1, "is written"},
		"blank before colon":   {script("# usbagent : run once"), 1, "is written"},
		"capitals":             {script("# USBagent: run once"), 1, "is written"},
		"two hashes":           {script("## usbagent: run once"), 1, "is written"},
		"indented":             {script("#!/bin/sh", " # usbagent: run once"), 2, "is written"},
		"hard blank":           {script("#\u00a0usbagent: run once"), 1, "is written"},
		"after a command":      {script("#!/bin/sh", "set -e", "# usbagent: run once"), 3, "only in the comments at the beginning"},
		"in a here-document":   {script("#!/bin/sh", "cat <<E", "  #usbagent: x", "E"), 3, "only in the comments at the beginning"},
		"second mark":          {script("#!/bin/sh", "\ufeff# usbagent: run once"), 2, "only in the comments at the beginning"},
		"behind a return":      {"#!/bin/sh\r# usbagent: run once\n", 1, "is written"},
		"return within":        {"# usbagent: run\ronce\n", 1, "U+000D"},
		"old Mac line ends":    {"echo\r# usbagent: run once\rmore\r", 1, "only in the comments"},
		"NUL":                  {"# usbagent: run\x00once\n", 1, "U+0000"},
		"not UTF-8":            {"# usbagent: run \xff\n", 1, "not UTF-8"},
		"right to left":        {"# usbagent: run \u202eecno\n", 1, "U+202E"},
		"open quote":           {script(`# usbagent: board model="a`), 1, "a quote without its end"},
		"backslash":            {script(`# usbagent: board model=a\ b`), 1, "a backslash"},
		"run never":            {script("# usbagent: run never"), 1, `run is "once" or "always"`},
		"run once more":        {script("# usbagent: run once always"), 1, `run is`},
		"run alone":            {script("# usbagent: run"), 1, `run is`},
		"run twice":            {script("# usbagent: run once", "# usbagent: run once"), 2, `a second "run" directive; line 1`},
		"requires nothing":     {script("# usbagent: requires"), 1, "usbagent>=X.Y"},
		"requires 1":           {script("# usbagent: requires usbagent>=1"), 1, "usbagent>=X.Y"},
		"requires 1.2.3":       {script("# usbagent: requires usbagent>=1.2.3"), 1, "usbagent>=X.Y"},
		"requires 01.2":        {script("# usbagent: requires usbagent>=01.2"), 1, "usbagent>=X.Y"},
		"requires less":        {script("# usbagent: requires usbagent<=1.2"), 1, "usbagent>=X.Y"},
		"requires other":       {script("# usbagent: requires rauc>=1.2"), 1, "usbagent>=X.Y"},
		"requires twice":       {script("# usbagent: requires usbagent>=0.1", "", "# usbagent: requires usbagent>=0.2"), 3, "a second"},
		"board alone":          {script("# usbagent: board"), 1, "model=… or serial=…"},
		"board other":          {script("# usbagent: board colour=blue"), 1, "not \"colour=blue\""},
		"board empty serial":   {script("# usbagent: board serial=1,,2"), 1, "an empty serial number"},
		"board empty model":    {script("# usbagent: board model="), 1, "an empty model"},
		"board blank":          {script(`# usbagent: board model=" a"`), 1, "blanks around"},
		"board same serial":    {script("# usbagent: board serial=1,2,1"), 1, "twice"},
		"board same model":     {script("# usbagent: board model=a model=a"), 1, "twice"},
		"board twice":          {script("# usbagent: board serial=1", "# usbagent: board serial=2"), 2, "a second"},
		"file alone":           {script("# usbagent: file a"), 1, "file is written"},
		"file without size":    {script("# usbagent: file a sha256=" + sum), 1, "file is written"},
		"file with two sums":   {script("# usbagent: file a sha256=" + sum + " sha256=" + sum), 1, "64 hexadecimal digits"},
		"file with two sizes":  {script("# usbagent: file a size=1 size=1"), 1, "64 hexadecimal digits"},
		"file with short sum":  {script("# usbagent: file a sha256=" + sum[2:] + " size=1"), 1, "64 hexadecimal digits"},
		"file size negative":   {script("# usbagent: file a sha256=" + sum + " size=-1"), 1, "number of bytes"},
		"file size hex":        {script("# usbagent: file a sha256=" + sum + " size=0x1"), 1, "number of bytes"},
		"file size 01":         {script("# usbagent: file a sha256=" + sum + " size=01"), 1, "number of bytes"},
		"file size huge":       {script(fmt.Sprintf("# usbagent: file a sha256=%s size=%d", sum, MaxFileSize+1)), 1, "number of bytes"},
		"file more":            {script(file("a") + " x"), 1, "file is written"},
		"file absolute":        {script(file("/etc/passwd")), 1, "relative to the root"},
		"file above":           {script(file("a/../../b")), 1, "relative to the root"},
		"file dot":             {script(file("./a")), 1, "relative to the root"},
		"file slashes":         {script(file("a//b")), 1, "relative to the root"},
		"file folder":          {script(file("a/")), 1, "relative to the root"},
		"file empty":           {script(file(`""`)), 1, "relative to the root"},
		"file backslash":       {script(file(`"a\\b"`)), 1, "separated by slashes"},
		"file itself":          {script(file("Autorun.SH")), 1, "need not name itself"},
		"file twice":           {script(file("a"), "# usbagent: run once", file("a")), 3, "line 1 has one"},
		"file twice but case":  {script(file("a/B"), file("A/b")), 2, "line 1 has one"},
		"file with long path":  {script(file(strings.Repeat("a", MaxFilePath+1))), 1, "more than 1024"},
		"too many files":       {many, MaxFiles + 2, "more than 100 files"},
		"too many directives":  {strings.Repeat("# usbagent: run once\n", MaxDirectives+1), 2, "a second"},
		"too long":             {script("# usbagent: board serial=" + strings.Repeat("1", MaxDirectiveLine)), 1, "at most 16384"},
		"first of two":         {script("# usbagent: foo", "# usbagent: bar"), 1, "foo"},
		"binary payload after": {script("#!/bin/sh", "exit", "\x00\xff", "# usbagent: run once"), 4, "only in the comments"},
	}
}

func TestDirectivesRefused(t *testing.T) {
	for name, c := range bad() {
		_, err := ParseDirectives([]byte(c.text))
		var e *DirectiveError
		if !errors.As(err, &e) || e.Line != c.line || !strings.Contains(e.Reason, c.reason) {
			t.Errorf("%s: %v; want line %d and %q", name, err, c.line, c.reason)
		}
	}
}

// TestMaxDirectives needs more kinds of directives than files and the single
// ones together would make.
func TestMaxDirectives(t *testing.T) {
	p := parser{leading: true, count: MaxDirectives}
	p.line([]byte("# usbagent: run once"))
	if p.err == nil || !strings.Contains(p.err.Reason, "more than 128 directives") {
		t.Error(p.err)
	}
}

// TestRequiresBesideUnknown: a script for a later usbagent says so, whatever
// other words it has.
func TestRequiresBesideUnknown(t *testing.T) {
	for _, text := range []string{
		script("# usbagent: requires usbagent>=9.0", "# usbagent: colour blue"),
		script("# usbagent: colour blue", "# usbagent: requires usbagent>=9.0"),
	} {
		d, err := ParseDirectives([]byte(text))
		if err == nil || d.Requires == nil || *d.Requires != (Version{9, 0}) {
			t.Errorf("%q: %v, %v", text, d.Requires, err)
		}
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]string{"1.4": "1.4", "1.4.2": "1.4", "0.1.0-dev": "0.1", "12.3-4-gabc-dirty": "12.3",
		"": "", "dev": "", "1": "", "1.": "", ".1": "", "-1.2": "", "v1.2": "", "1.9999999": "", "1.x": ""} {
		v, err := ParseVersion(text)
		if (err == nil) != (want != "") || err == nil && v.String() != want {
			t.Errorf("ParseVersion(%q) = %v, %v; want %q", text, v, err, want)
		}
	}
	for _, c := range []struct {
		v, w Version
		want bool
	}{{Version{1, 2}, Version{1, 2}, true}, {Version{1, 10}, Version{1, 9}, true}, {Version{2, 0}, Version{1, 9}, true}, {Version{1, 9}, Version{2, 0}, false}, {Version{1, 1}, Version{1, 2}, false}} {
		if c.v.AtLeast(c.w) != c.want {
			t.Errorf("%v.AtLeast(%v) is not %v", c.v, c.w, c.want)
		}
	}
}

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		glob, model string
		want        bool
	}{
		{"chargebyte Tarragon*", "chargebyte Tarragon Master", true}, {"chargebyte Tarragon*", "chargebyte Tarragon", true},
		{"chargebyte Tarragon", "chargebyte Tarragon Master", false}, {"Tarragon", "chargebyte Tarragon", false},
		{"*Tarragon*", "chargebyte Tarragon Master", true}, {"*", "", true}, {"?", "", false}, {"?", "ä", true},
		{"a*b*c", "aXbXbXc", true}, {"a*b*c", "aXbXcX", false}, {"[a]", "a", false}, {"a/b*", "a/b/c", true}, {"A*", "abc", false},
		{strings.Repeat("*a", 500) + "b", strings.Repeat("a", 4096), false},
	} {
		if got := (&Target{Models: []string{"other", c.glob}}).FitsModel(c.model); got != c.want {
			t.Errorf("%q fits %q: %v", c.glob, c.model, got)
		}
	}
	all := &Target{}
	some := &Target{Serials: []string{"CB1", "CB2"}}
	if !all.FitsModel("x") || !all.FitsSerial("x") || !some.FitsSerial("CB2") || some.FitsSerial("cb2") || some.FitsSerial("") || some.FitsSerial("CB") {
		t.Error("serial numbers are compared wrongly")
	}
}

func TestRewrite(t *testing.T) {
	a, b := File{Path: "a b", Size: 1}, File{Path: "c", Size: 2, SHA256: [32]byte{1}}
	w := Wish{Files: []File{a, b}, Models: []string{`x "y"`, "z"}, Serials: []string{"1", "2"}, Run: RunAlways, Requires: &Version{1, 2}}
	wished := []string{a.String(), b.String(), `# usbagent: board model="x \"y\"" model=z serial=1,2`, "# usbagent: run always", "# usbagent: requires usbagent>=1.2"}
	for name, c := range map[string]struct{ before, after string }{
		"fresh":       {"#!/bin/sh\n# says\necho\n", "#!/bin/sh\n" + script(wished...) + "# says\necho\n"},
		"no shebang":  {"echo\n", script(wished...) + "echo\n"},
		"empty":       {"", script(wished...)},
		"one line":    {"#!/bin/sh", "#!/bin/sh\n" + script(wished...)},
		"CRLF":        {"#!/bin/sh\r\necho\r\n", "#!/bin/sh\r\n" + strings.ReplaceAll(script(wished...), "\n", "\r\n") + "echo\r\n"},
		"replaced":    {script("#!/bin/sh", "# usbagent: run once", file(`"A B"`), "# usbagent: board serial=7 model=q", "# more", "echo"), script("#!/bin/sh", wished[3], wished[0], wished[2], wished[1], wished[4], "# more", "echo")},
		"others stay": {script("#!/bin/sh", file("other"), "echo"), script(append(append([]string{"#!/bin/sh", file("other")}, wished...), "echo")...)},
	} {
		out, edits, err := Rewrite([]byte(c.before), w)
		if err != nil || string(out) != c.after || len(edits) != 5 {
			t.Errorf("%s: %v, %d edits:\n%s\nwant:\n%s", name, err, len(edits), out, c.after)
		}
		for _, e := range edits {
			if got := strings.Split(c.after, "\n")[e.Line-1]; strings.TrimSuffix(got, "\r") != e.New {
				t.Errorf("%s: line %d is %q, not %q", name, e.Line, got, e.New)
			}
		}
		again, edits, err := Rewrite(out, w)
		if err != nil || string(again) != string(out) || len(edits) != 0 {
			t.Errorf("%s: a second time %v, %v", name, edits, err)
		}
	}
	out, edits, err := Rewrite([]byte(script("# usbagent: board model=m", "x")), Wish{Serials: []string{"1"}})
	if want := script("# usbagent: board model=m serial=1", "x"); err != nil || string(out) != want || len(edits) != 1 || edits[0].Old != "# usbagent: board model=m" {
		t.Errorf("%q, %v, %v", out, edits, err)
	}
	for text, wish := range map[string]Wish{
		"# usbagent: what\n":      {Run: RunOnce},
		"\ufeff#!/bin/sh\n":       {Run: RunOnce},
		"#!/bin/sh\n":             {Run: "sometimes"},
		"#!/bin/sh \n":            {Files: []File{{Path: "../a"}}},
		"#!/bin/sh\n#\n":          {Files: []File{{Path: "a"}, {Path: "A"}}},
		"#!/bin/sh\n#\n# \necho ": {Models: []string{""}},
	} {
		if out, _, err := Rewrite([]byte(text), wish); err == nil {
			t.Errorf("Rewrite(%q, %+v) = %q", text, wish, out)
		}
	}
	if _, edits, err := Rewrite([]byte("\ufeffecho\n"), Wish{}); err != nil || len(edits) != 0 {
		t.Errorf("nothing wished: %v, %v", edits, err)
	}
}

// line takes any line of a script, without its newline.
func (p *parser) line(line []byte) {
	text := line
	if p.number == 0 {
		text = bytes.TrimPrefix(text, byteOrderMark)
	}
	p.leading = p.leading && leads(text)
	if looksLikeDirective(line) {
		p.take(line)
	}
}

// leads reports whether a line is a comment or blank.
func leads(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#")) || len(bytes.TrimLeft(line, " \t\r")) == 0
}

// looksLikeDirective reports whether somebody who reads the line, or a part of
// it after a carriage return, would take it for a directive.
func looksLikeDirective(line []byte) bool {
	return slices.ContainsFunc(bytes.Split(bytes.TrimRight(line, " \t\r"), []byte("\r")), resembles)
}

// resembles reports whether text is "# usbagent:" but for blanks, the number
// of hashes, letter case and byte order marks.
func resembles(text []byte) bool {
	const word = "usbagent"
	comment := bytes.TrimLeft(text, "\ufeff \t\v\f\u00a0")
	name := bytes.TrimLeft(comment, "# \t\v\f\u00a0\ufeff")
	if len(comment) == 0 || comment[0] != '#' || len(name) <= len(word) || !strings.EqualFold(string(name[:len(word)]), word) {
		return false
	}
	return bytes.HasPrefix(bytes.TrimLeft(name[len(word):], " \t\v\f\u00a0"), []byte(":"))
}

// lineByLine is what ParseDirectives returns, without what makes it fast.
func lineByLine(script []byte) (Directives, error) {
	p := parser{leading: true}
	for line := range bytes.SplitSeq(script, []byte("\n")) {
		p.line(line)
		p.number++
	}
	if p.err != nil {
		return Directives{Requires: p.found.Requires}, p.err
	}
	return p.found, nil
}

func TestDirectivesLineByLine(t *testing.T) {
	words := []string{"\n", "\n", "\n", "\r", " ", "\t", "#", "# ", "# usbagent: ", "# usbagent: run always", "#USBAgent :", "usbagent", "usbagen", "# usb", "agent: x",
		"usbagent: requires 9.9", "# usbagent: requires 1.0", "\ufeff", "\u00a0", "echo", "x", "\v", "\x00", "t", "U", "ausbagent",
		"\f", ":", " :", "\xa0", "\xc2", "\xa0#", "\xef", "\xbb\xbf", "\xbf#", "usbagent:", "##\u00a0usbagent\v:", "# usbagent: run once\r"}
	random := rand.New(rand.NewPCG(3, 4))
	for range 200_000 {
		var script []byte
		for range random.IntN(14) {
			script = append(script, words[random.IntN(len(words))]...)
		}
		got, gotErr := ParseDirectives(script)
		want, wantErr := lineByLine(script)
		if !reflect.DeepEqual(got, want) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Fatalf("%q: %+v, %v; line by line %+v, %v", script, got, gotErr, want, wantErr)
		}
	}
}

// FuzzDirectives: whatever is accepted has no line left that somebody could
// take for a directive, and comes back as it is when it is written out again.
func FuzzDirectives(f *testing.F) {
	corpus.Files(f, "testdata/fuzz/FuzzDirectives/*", 3) // go test adds them by itself
	for _, c := range good() {
		f.Add([]byte(c.text))
	}
	for _, c := range bad() {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		d, err := ParseDirectives(script)
		if err != nil {
			var e *DirectiveError
			if !errors.As(err, &e) || e.Line < 1 || e.Line > bytes.Count(script, []byte("\n"))+1 {
				t.Fatalf("%v", err)
			}
			return
		}
		seen := bytes.Count(bytes.ToLower(script), []byte("# usbagent:"))
		if said := len(d.Files) + len(d.lines); said > seen {
			t.Fatalf("%d directives of %d lines", said, seen)
		}
		for _, f := range d.Files {
			if !filepath.IsLocal(filepath.FromSlash(f.Path)) || f.Size < 0 || f.Size > MaxFileSize || filepath.Clean(f.Path) != f.Path {
				t.Fatalf("%+v", f)
			}
		}
		w := Wish{Files: d.Files, Run: d.Run, Requires: d.Requires}
		if d.Board != nil {
			w.Models, w.Serials = d.Board.Models, d.Board.Serials
		}
		written, _, err := Rewrite([]byte("#!/bin/sh\necho\n"), w)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseDirectives(written)
		d.lines, again.lines = nil, nil
		for i := range again.Files {
			again.Files[i].Line = d.Files[i].Line
		}
		if err != nil || !reflect.DeepEqual(d, again) {
			t.Fatalf("%+v\nbecame %+v, %v", d, again, err)
		}
	})
}
