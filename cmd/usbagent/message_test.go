// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
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

	"usbagent/agent"
)

// logged returns the texts of all lines that the agent logs, by the source of
// the two packages that do. What a text begins with is returned where the rest
// is put together.
func logged(t *testing.T) []string {
	t.Helper()
	var texts []string
	for _, dir := range []string{".", "../../agent"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", dir, err)
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
					texts = append(texts, lineOf(call)...)
				}
				return true
			})
		}
	}
	return texts
}

// lineOf returns the text of a call of a logger.
func lineOf(call *ast.CallExpr) []string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, method.Sel.Name) || len(call.Args) == 0 {
		return nil
	}
	switch of := method.X.(type) {
	case *ast.Ident:
		ok = of.Name == "log"
	case *ast.SelectorExpr:
		ok = strings.EqualFold(of.Sel.Name, "log")
	}
	if !ok {
		return nil
	}
	first := call.Args[0]
	if sum, ok := first.(*ast.BinaryExpr); ok {
		first = sum.X
	}
	text, ok := first.(*ast.BasicLit)
	if !ok {
		return []string{"a text that is no constant"}
	}
	value, err := strconv.Unquote(text.Value)
	if err != nil {
		return []string{err.Error()}
	}
	return []string{value}
}

// composed are the texts of lines that are put together: by the result of a
// step, and by whether a finished stick is still in.
var composed = []string{"step ", "a text that is no constant"}

// TestEveryLineHasAnID: no line without an ID, no ID without a line or twice.
func TestEveryLineHasAnID(t *testing.T) {
	texts := logged(t)
	if len(texts) < 40 {
		t.Fatalf("only %d lines found", len(texts))
	}
	for _, text := range texts {
		if agent.MessageID(text) == "" && !slices.Contains(composed, text) {
			t.Errorf("%q has no ID in agent/message.go", text)
		}
	}
	seen := make(map[string]bool)
	for _, m := range agent.Messages {
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(m.ID) || seen[m.ID] || seen[m.Text] {
			t.Errorf("bad or twice: %+v", m)
		}
		seen[m.ID], seen[m.Text] = true, true
		if !slices.Contains(texts, m.Text) && !strings.HasPrefix(m.Text, "step ") && !strings.HasPrefix(m.Text, "stick finished, ") {
			t.Errorf("%q is not logged", m.Text)
		}
	}
	for _, result := range []string{agent.Done, agent.Skipped, agent.Refused, agent.Failed} {
		if agent.MessageID("step "+result) == "" {
			t.Errorf("a step that is %s has no ID", result)
		}
	}
	if agent.MessageID("stick found by somebody else") != "" || agent.MessageID("configuration: config.toml:1: x") == "" {
		t.Error("found by a part of its text, or not by its beginning")
	}
}

// TestJournalIsDocumented compares docs/journal.md with the table, and each
// line there has to say what it means.
func TestJournalIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/journal.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range agent.Messages {
		text := m.Text
		if strings.HasSuffix(text, ": ") {
			text += "…"
		}
		_, rest, there := strings.Cut(string(doc), "\n| `"+m.ID+"` | `"+text+"` | ")
		if meaning, _, _ := strings.Cut(rest, " |\n"); !there || meaning == "" || strings.Contains(meaning, "\n") {
			t.Errorf("docs/journal.md lacks %s %s, or what it means", m.ID, text)
		}
	}
	if rows := strings.Count(string(doc), "\n| `") - strings.Count(string(doc), "\n| `USBAGENT_") - 3; rows != len(agent.Messages) {
		t.Errorf("docs/journal.md has %d lines, there are %d", rows, len(agent.Messages))
	}
}
