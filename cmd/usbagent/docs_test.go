// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
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
