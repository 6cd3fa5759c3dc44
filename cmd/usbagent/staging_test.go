// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree is what is in a directory: names with content, "/" for a directory.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if e.IsDir() {
			list = append(list, name+"/")
			return nil
		}
		text, err := os.ReadFile(path)
		list = append(list, name+"="+string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, " ")
}

// stickDir is a stick with something old on it.
func stickDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"autorun.sh": "old", "old.image": "old", "photo.jpg": "mine"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestStagingReplaces(t *testing.T) {
	dir := stickDir(t)
	parts := []part{{name: "tools/deep/tool", content: []byte("t")}, {name: "autorun.sh", content: []byte("new")}}
	if _, err := newStaging(dir, parts, false); err == nil || !strings.Contains(err.Error(), "autorun.sh, old.image already") {
		t.Errorf("%v", err)
	}
	s, err := newStaging(dir, parts, true)
	if err == nil {
		err = s.fill(t.Context(), parts)
	}
	if err == nil {
		err = s.commit(parts)
	}
	s.clear()
	if got := tree(t, dir); err != nil || got != "autorun.sh=new photo.jpg=mine tools/ tools/deep/ tools/deep/tool=t" {
		t.Errorf("%v: %s", err, got)
	}
}

// TestStagingFailsHalfway: whatever fails, the stick is as it was.
func TestStagingFailsHalfway(t *testing.T) {
	parts := []part{{name: "a.image", content: []byte("a")}, {name: "autorun.sh", content: []byte("new")}, {name: "tool/x", content: []byte("x")}}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for name, fails := range map[string]func(s *staging) error{
		"a source is missing": func(s *staging) error {
			return s.fill(t.Context(), append(parts, part{name: "b.image", source: "/none"}))
		},
		"interrupted":           func(s *staging) error { return s.fill(stopped, parts) },
		"a name is not allowed": func(s *staging) error { return s.fill(t.Context(), append(parts, part{name: "a.image/x"})) },
		"put in place": func(s *staging) error {
			if err := s.fill(t.Context(), parts); err != nil {
				return err
			}
			if err := os.RemoveAll(filepath.Join(s.dir, "tool")); err != nil {
				return err
			}
			return s.commit(parts)
		},
	} {
		dir := stickDir(t)
		before := tree(t, dir)
		s, err := newStaging(dir, parts, true)
		if err != nil {
			t.Fatal(err)
		}
		err = fails(s)
		s.clear()
		if got := tree(t, dir); err == nil || got != before {
			t.Errorf("%s: %v: %s", name, err, got)
		}
	}
}

// TestStagingAfterACut: what a run left that was cut off is cleared, or told.
func TestStagingAfterACut(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, stagingName, "x"), 0o755)); err != nil {
		t.Fatal(err)
	}
	s, err := newStaging(dir, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	s.clear()
	if err := os.Mkdir(filepath.Join(dir, replaced), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := newStaging(dir, nil, true); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("%v", err)
	}
}

// TestPartsOfAScript: the files that a script names in its directives come
// along, from beside it.
func TestPartsOfAScript(t *testing.T) {
	script := "#!/bin/sh\n# usbagent: file tools/a.bin sha256=" + strings.Repeat("0", 64) + " size=1\n"
	parts := payloadParts("/desk", []byte(script))
	if len(parts) != 1 || parts[0].name != "tools/a.bin" || parts[0].source != filepath.FromSlash("/desk/tools/a.bin") {
		t.Errorf("%+v", parts)
	}
	if err := distinct(append(parts, part{name: "TOOLS/a.bin", source: "/other"})); err == nil {
		t.Error("two files of one name")
	}
}
