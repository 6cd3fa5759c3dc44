// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"

	"usbagent/config"
)

// TestEveryDependencyHasItsLine compares go.mod with docs/dependencies.md.
func TestEveryDependencyHasItsLine(t *testing.T) {
	text := repository(t, "go.mod")
	file, err := modfile.Parse("go.mod", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Require) < 10 {
		t.Fatalf("go.mod has only %d requirements: nothing was compared", len(file.Require))
	}
	docs := repository(t, "docs/dependencies.md")
	for _, r := range file.Require {
		if !strings.Contains(docs, r.Mod.Path) {
			t.Errorf("docs/dependencies.md has no line for %s", r.Mod.Path)
		}
	}
}

// TestReadmeKnowsEveryKey compares the settings with the README's table.
func TestReadmeKnowsEveryKey(t *testing.T) {
	readme := repository(t, "README.md")
	keys, table := 0, ""
	for line := range strings.Lines(config.Example()) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#"))
		if name, ok := strings.CutPrefix(line, "["); ok && strings.HasSuffix(name, "]") {
			table = strings.TrimSuffix(name, "]")
			continue
		}
		key, _, ok := strings.Cut(line, " = ")
		if !ok || strings.Contains(key, " ") || table == "" {
			continue
		}
		keys++
		if !strings.Contains(readme, "`"+table+"."+key+"`") {
			t.Errorf("README.md does not mention `%s.%s`", table, key)
		}
	}
	if keys < 20 {
		t.Fatalf("the example configuration has only %d keys: nothing was compared", keys)
	}
}

// repository reads a file of the repository.
func repository(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTroubleshootingQuotesRealLines looks for what the README's table quotes
// in the program's sources.
func TestTroubleshootingQuotesRealLines(t *testing.T) {
	_, table, ok := strings.Cut(repository(t, "README.md"), "## Troubleshooting")
	table, _, ok2 := strings.Cut(table, "\n## ")
	if !ok || !ok2 {
		t.Fatal("README.md has no section on troubleshooting")
	}
	sources := sources(t)
	quotes := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| `") || len(cells) < 2 {
			continue
		}
		for i, quote := range strings.Split(cells[0], "`") {
			if i%2 == 0 {
				continue
			}
			quotes++
			if quote = strings.TrimSuffix(quote, "config.toml:…"); !strings.Contains(sources, quote) {
				t.Errorf("no message of the program says %q", quote)
			}
		}
	}
	if quotes < 10 {
		t.Fatalf("only %d quotes were found: nothing was compared", quotes)
	}
}

// sources is the program's own code, tests aside.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"../../*/*.go", "*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && !strings.HasSuffix(file, "_test.go") {
				all.Write(text)
			}
		}
	}
	return all.String()
}

// TestDocsNameRealTests: each test that a page names as a proof is there.
func TestDocsNameRealTests(t *testing.T) {
	tests := make(map[string]bool)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			tests[name[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	named := 0
	for _, page := range pages {
		for _, name := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w+)`").FindAllStringSubmatch(repository(t, "docs/"+filepath.Base(page)), -1) {
			if named++; !tests[name[1]] {
				t.Errorf("%s names %s, which is nowhere", filepath.Base(page), name[1])
			}
		}
	}
	if named < 50 {
		t.Fatalf("only %d tests are named: nothing was compared", named)
	}
}
