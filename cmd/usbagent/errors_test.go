// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// said is one message of the program: an error, or the reason of a step.
type said struct {
	place  string // file
	text   string // format and all; what is put together has its constant parts
	reason bool   // of a step that is refused or failed
}

// messages are all messages in the program's source, in the order of files.
func messages(t *testing.T) []said {
	t.Helper()
	var list []said
	for _, pattern := range []string{"../../*/*.go", "../../internal/*/*.go", "*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if m, ok := messageOf(call); ok {
						m.place = strings.TrimPrefix(name, "../../")
						list = append(list, m)
					}
				}
				return true
			})
		}
	}
	return list
}

// messageOf returns the message that a call makes: fmt.Errorf, errors.New, and
// the result method of a step.
func messageOf(call *ast.CallExpr) (m said, ok bool) {
	method, isMethod := call.Fun.(*ast.SelectorExpr)
	if !isMethod || len(call.Args) == 0 {
		return m, false
	}
	of, _ := method.X.(*ast.Ident)
	switch {
	case of != nil && (of.Name == "fmt" && method.Sel.Name == "Errorf" || of.Name == "errors" && method.Sel.Name == "New"):
		m.text = constant(call.Args[0])
	case method.Sel.Name == "result" && len(call.Args) > 1:
		result, _ := call.Args[0].(*ast.Ident)
		m.text, m.reason = constant(call.Args[1]), result != nil && (result.Name == "Refused" || result.Name == "Failed")
	}
	return m, m.text != ""
}

// constant is the text of the constant parts of an expression.
func constant(e ast.Expr) string {
	var text strings.Builder
	ast.Inspect(e, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			part, _ := strconv.Unquote(literal.Value)
			text.WriteString(part)
		}
		return true
	})
	return text.String()
}

// badWords say that something is wrong, and not what.
var badWords = regexp.MustCompile(`(?i)\b(failed to|unable to|could not be|error:|an error|invalid|illegal|bad|unexpected error|something went wrong|unknown error)\b`)

// allowed are messages with such a word that do say what; those of flags are
// what command lines usually say.
var allowed = []string{"invalid argument %q for %q flag", "bad flag syntax", "could not be restarted", "could not be confined", "could not be put back", "could not be noted as executed", "could not be recorded"}

// TestErrorMessages reads all messages in one table (go test -v shows it): they
// go on from the operation or the thing that the caller names, so they begin
// small and end without a full stop, and they say what is wrong.
func TestErrorMessages(t *testing.T) {
	list := messages(t)
	if len(list) < 500 {
		t.Fatalf("only %d messages found", len(list))
	}
	for _, m := range list {
		t.Logf("%-32s %s", m.place, m.text)
		first, _, _ := strings.Cut(m.text, " ")
		if first != strings.ToUpper(first) && first[:1] != strings.ToLower(first[:1]) && !slices.Contains([]string{"RAUC's", "Netscape"}, first) {
			t.Errorf("%s: %q begins with a capital", m.place, m.text)
		}
		if strings.HasSuffix(m.text, ".") || strings.HasSuffix(m.text, "!") || strings.Contains(m.text, "\n") {
			t.Errorf("%s: %q ends with a full stop or has several lines", m.place, m.text)
		}
		if word := badWords.FindString(m.text); word != "" && !slices.ContainsFunc(allowed, func(a string) bool { return strings.Contains(m.text, a) }) {
			t.Errorf("%s: %q: %q does not say what is wrong", m.place, m.text, word)
		}
	}
}

var verb = regexp.MustCompile(`%[0-9.]*[a-z]`)

// TestReasonsAreDocumented: each reason with which a step is refused or fails
// is in docs/messages.md, and what that quotes is said by the program.
func TestReasonsAreDocumented(t *testing.T) {
	doc := repository(t, "docs/messages.md")
	list := messages(t)
	for _, m := range list {
		if text := quote(m.text); m.reason && text != "…" && text != ": …" && !strings.Contains(doc, text) {
			t.Errorf("docs/messages.md lacks the reason of a step: %s", text)
		}
	}
	sources, quotes := verb.ReplaceAllString(sources(t)+internalSources(t), "…"), 0
	for line := range strings.Lines(doc) {
		cell, ok := strings.CutPrefix(line, "| `")
		if !ok {
			continue
		}
		text, _, _ := strings.Cut(cell, "`")
		for part := range strings.SplitSeq(text, "…") {
			if part = strings.Trim(part, " :()"); len(part) > 8 {
				if quotes++; !strings.Contains(sources, part) {
					t.Errorf("no message of the program says %q", part)
				}
			}
		}
	}
	if quotes < 40 {
		t.Errorf("only %d quotes", quotes)
	}
}

// quote is a format as the documentation writes it.
func quote(format string) string { return verb.ReplaceAllString(format, "…") }

func internalSources(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("../../internal/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s\n", text)
	}
	return all.String()
}
