// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits of what a script may say about itself.
const (
	// MaxDirectives is the number of directives of one script.
	MaxDirectives = 128
	// MaxDirectiveLine is the length in bytes of a line with a directive.
	MaxDirectiveLine = 16 << 10
	// MaxFiles is the number of files that a script may name.
	MaxFiles = 100
	// MaxFilePath is the length in bytes of the path of one of them.
	MaxFilePath = 1024
	// MaxFileSize is the size in bytes of one of them: 1 TiB, so that sums of
	// sizes never overflow.
	MaxFileSize = 1 << 40
)

// directiveBegin is how every directive begins, at the beginning of its line.
const directiveBegin = "# usbagent:"

// Directives is what a script says about itself in its leading comment block,
// as docs/directives.md has it. The zero value says nothing, as all scripts
// did that were made before there were directives.
type Directives struct {
	Files    []File  // the payload, in the order of the lines
	Board    *Target // the boards it is for; nil: all
	Run      string  // RunOnce, RunAlways; empty as RunOnce
	Requires *Version

	lines map[string]int // line of the directives that there is one of
}

// What a script may say about repetition.
const (
	RunOnce   = "once"
	RunAlways = "always"
)

// File is a file beside the script that the script vouches for.
type File struct {
	Path   string // relative to the root of the stick, with slashes
	Size   int64
	SHA256 [sha256.Size]byte
	Line   int // from 1
}

// ErrNotVouched is wrapped by Check's error.
var ErrNotVouched = errors.New("its content is not what was signed")

// Check returns nil when sum is what the script vouches for.
func (f File) Check(sum [sha256.Size]byte) error {
	if sum != f.SHA256 {
		return fmt.Errorf("%w (SHA-256 %x)", ErrNotVouched, sum)
	}
	return nil
}

// Target is the boards that a script is for: those whose model fits one of
// Models, if there are any, and whose serial number is one of Serials, if
// there are any.
type Target struct {
	Models  []string // "*" stands for any characters, "?" for any one
	Serials []string
}

// Version is the first two numbers of a version.
type Version struct{ Major, Minor int }

// DirectiveError is why what a script says cannot be obeyed. An unknown word
// may be a restriction, so the whole script is refused.
type DirectiveError struct {
	Line   int // from 1
	Reason string
}

func (e *DirectiveError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// parser takes those lines of a script that are meant to be directives.
type parser struct {
	found   Directives
	number  int  // of lines before the current one
	leading bool // the leading comment block has not ended
	count   int
	err     *DirectiveError
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &DirectiveError{p.number + 1, fmt.Sprintf(format, args...)}
	}
}

// take takes one line that is meant to be a directive, without its newline.
func (p *parser) take(line []byte) {
	if p.number == 0 {
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	line = bytes.TrimRight(line, " \t\r")
	switch {
	case !p.leading:
		p.fail("a directive counts only in the comments at the beginning of the script, before its first command")
	case len(line) > MaxDirectiveLine:
		p.fail("the line has %d bytes, a directive has at most %d", len(line), MaxDirectiveLine)
	case p.count == MaxDirectives:
		p.fail("more than %d directives", MaxDirectives)
	default:
		p.count++
		p.directive(string(line))
	}
}

// directive takes a line that is meant to be one, without blanks at its end.
func (p *parser) directive(line string) {
	text, ok := strings.CutPrefix(line, directiveBegin)
	if !ok || text != "" && text[0] != ' ' && text[0] != '\t' {
		p.fail(`a directive is written %q at the beginning of its line, then a blank`, directiveBegin)
		return
	}
	words, err := splitWords(text)
	if err != "" {
		p.fail("%s", err)
		return
	}
	if len(words) == 0 {
		p.fail("an empty directive")
		return
	}
	take, known := map[string]func([]string){
		"file": p.file, "board": p.board, "run": p.run, "requires": p.requires,
	}[words[0]]
	if !known {
		p.fail("unknown directive %q", short(words[0]))
		return
	}
	take(words[1:])
}

// once reports whether this is the first directive of its kind.
func (p *parser) once(kind string) bool {
	if before := p.found.lines[kind]; before != 0 {
		p.fail("a second %q directive; line %d has one", kind, before)
		return false
	}
	if p.found.lines == nil {
		p.found.lines = make(map[string]int)
	}
	p.found.lines[kind] = p.number + 1
	return true
}

func (p *parser) run(args []string) {
	if !p.once("run") {
		return
	}
	if len(args) != 1 || args[0] != RunOnce && args[0] != RunAlways {
		p.fail("run is %q or %q", RunOnce, RunAlways)
		return
	}
	p.found.Run = args[0]
}

func (p *parser) requires(args []string) {
	if !p.once("requires") {
		return
	}
	const begin = "usbagent>="
	if len(args) == 1 && strings.HasPrefix(args[0], begin) {
		if v, ok := exactVersion(args[0][len(begin):]); ok {
			p.found.Requires = &v
			return
		}
	}
	p.fail("requires is written %sX.Y", begin)
}

func (p *parser) board(args []string) {
	if !p.once("board") {
		return
	}
	t := &Target{}
	for _, arg := range args {
		if model, ok := strings.CutPrefix(arg, "model="); ok {
			p.value("model", model, &t.Models)
		} else if serials, ok := strings.CutPrefix(arg, "serial="); ok {
			for serial := range strings.SplitSeq(serials, ",") {
				p.value("serial number", serial, &t.Serials)
			}
		} else {
			p.fail("board has model=… and serial=…, not %q", short(arg))
			return
		}
	}
	if len(args) == 0 {
		p.fail("board has model=… or serial=… or both")
		return
	}
	p.found.Board = t
}

// value adds one value of a board directive.
func (p *parser) value(what, value string, list *[]string) {
	if value == "" || strings.TrimSpace(value) != value {
		p.fail("an empty %s, or blanks around it", what)
		return
	}
	for _, other := range *list {
		if other == value {
			p.fail("%s %q twice", what, short(value))
			return
		}
	}
	*list = append(*list, value)
}

func (p *parser) file(args []string) {
	f := File{Line: p.number + 1, Size: -1}
	hash := false
	if len(args) != 3 {
		p.fail("file is written: file PATH sha256=… size=…")
		return
	}
	for _, arg := range args[1:] {
		if sum, ok := strings.CutPrefix(arg, "sha256="); ok && !hash {
			hash = parseSum(sum, &f.SHA256)
		} else if size, ok := strings.CutPrefix(arg, "size="); ok && f.Size < 0 {
			f.Size = parseSize(size)
		}
	}
	if !hash || f.Size < 0 {
		p.fail("file is written: file PATH sha256=… size=…, with 64 hexadecimal digits and a number of bytes up to %d", int64(MaxFileSize))
		return
	}
	f.Path = args[0]
	if err := CheckPath(f.Path); err != nil {
		p.fail("%v", err)
		return
	}
	for _, other := range p.found.Files {
		if foldASCII(other.Path) == foldASCII(f.Path) {
			p.fail("a second directive about the file %q; line %d has one", short(f.Path), other.Line)
			return
		}
	}
	if len(p.found.Files) == MaxFiles {
		p.fail("more than %d files", MaxFiles)
		return
	}
	p.found.Files = append(p.found.Files, f)
}

// parseSize returns a number of bytes, or -1.
func parseSize(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > MaxFileSize || strconv.FormatInt(n, 10) != text {
		return -1
	}
	return n
}

// foldASCII is text as FAT compares it.
func foldASCII(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// short cuts a word from a script for a message.
func short(word string) string {
	const limit = 64
	if len(word) <= limit {
		return word
	}
	return strings.ToValidUTF8(word[:limit], "") + "…"
}
