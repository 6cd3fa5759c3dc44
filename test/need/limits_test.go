// SPDX-License-Identifier: GPL-3.0-or-later

package need

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// limit is what constants are called that bound something.
var limit = regexp.MustCompile(`^Max[A-Z]|^[A-Z].*(Timeout|Wait|Window|Poll|Grace|Stall|Total|Interval|Probe)$`)

// TestEveryLimitHasATest: each exported limit of the program is named by a test
// of its own package, or with the package's name by another's.
func TestEveryLimitHasATest(t *testing.T) {
	limits := make(map[string][]string) // by directory
	tests := make(map[string]string)    // text of all tests, by directory
	for _, pattern := range []string{"../../*/*.go", "../../internal/*/*.go", "../../cmd/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Dir(path)
			if strings.HasSuffix(path, "_test.go") {
				tests[dir] += string(text)
				continue
			}
			limits[dir] = append(limits[dir], constants(t, path, text)...)
		}
	}
	all, found := "", 0
	for _, text := range tests {
		all += text
	}
	for dir, names := range limits {
		for _, name := range names {
			found++
			named := regexp.MustCompile(`\b` + name + `\b`)
			elsewhere := regexp.MustCompile(`\b` + filepath.Base(dir) + `\.` + name + `\b`)
			if !named.MatchString(tests[dir]) && !elsewhere.MatchString(all) {
				t.Errorf("%s: no test names %s", strings.TrimPrefix(dir, "../../"), name)
			}
		}
	}
	if found < 50 {
		t.Errorf("%d limits found: the names are not what they were", found)
	}
}

// constants are the limits that a file declares.
func constants(t *testing.T, path string, text []byte) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if limit.MatchString(name.Name) {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}
