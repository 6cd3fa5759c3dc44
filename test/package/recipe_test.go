// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package package_test

import (
	"fmt"
	"regexp"
	"strings"
)

// recipe is what bitbake would read, as far as our recipes use its language.
type recipe struct {
	vars      map[string]string // by name with its overrides and flags; += is added
	functions map[string]string // shell functions by name
	inherits  []string
	requires  []string
}

var (
	// assignment is NAME, NAME:override or NAME[flag], an operator, and a
	// quoted value. Names with the old _override are refused where they are read.
	assignment = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*(?::[A-Za-z0-9_${}-]+)*(?:\[[A-Za-z0-9_.-]+\])?) (=|\?=|\?\?=|\+=|\.=|=\.|=\+|:=) "(.*)"$`)
	function   = regexp.MustCompile(`^([a-z_]+)\(\) \{$`)
	oldStyle   = regexp.MustCompile(`_(append|prepend|remove|class-[a-z]+|\$\{PN\})`)
	reference  = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
)

// parse reads a recipe, include or layer.conf. It is stricter than bitbake:
// what it does not know is an error.
func parse(text string) (recipe, error) {
	r := recipe{vars: map[string]string{}, functions: map[string]string{}}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		if found := function.FindStringSubmatch(line); found != nil && !oldStyle.MatchString(found[1]) {
			end := i + 1
			for end < len(lines) && lines[end] != "}" {
				end++
			}
			if end == len(lines) {
				return r, fmt.Errorf("line %d: function %s has no end", i+1, found[1])
			}
			r.functions[found[1]] = strings.Join(lines[i+1:end], "\n") + "\n"
			i = end
			continue
		}
		for strings.HasSuffix(line, "\\") && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(line, "\\") + lines[i]
		}
		if err := r.line(line); err != nil {
			return r, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return r, nil
}

// line reads one logical line.
func (r *recipe) line(line string) error {
	if rest, ok := strings.CutPrefix(line, "inherit "); ok {
		r.inherits = append(r.inherits, strings.Fields(rest)...)
		return nil
	}
	if rest, ok := strings.CutPrefix(line, "require "); ok {
		r.requires = append(r.requires, rest)
		return nil
	}
	found := assignment.FindStringSubmatch(line)
	if found == nil {
		return fmt.Errorf("not understood: %s", line)
	}
	name, operator, value := found[1], found[2], found[3]
	if strings.Contains(strings.ReplaceAll(value, `\"`, ""), `"`) {
		return fmt.Errorf("a quote inside the value: %s", line)
	}
	if oldStyle.MatchString(name) {
		return fmt.Errorf("override syntax of before kirkstone: %s", name)
	}
	switch operator {
	case "+=":
		value = strings.TrimSpace(r.vars[name] + " " + value)
	case ".=":
		value = r.vars[name] + value
	case "?=", "??=":
		if old, ok := r.vars[name]; ok {
			value = old
		}
	}
	r.vars[name] = value
	return nil
}

// expand replaces ${X} by what the recipe or known says, as often as needed.
func (r *recipe) expand(text string, known map[string]string) (string, error) {
	for range 20 {
		var unknown string
		next := reference.ReplaceAllStringFunc(text, func(ref string) string {
			name := ref[2 : len(ref)-1]
			if value, ok := known[name]; ok {
				return value
			}
			if value, ok := r.vars[name]; ok {
				return value
			}
			unknown = name
			return ref
		})
		if unknown != "" {
			return "", fmt.Errorf("${%s} is set nowhere", unknown)
		}
		if next == text {
			return text, nil
		}
		text = next
	}
	return "", fmt.Errorf("%s refers to itself", text)
}
