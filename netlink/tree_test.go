// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// plant makes the captured tree testdata/sysfs/NAME.txt below a new root.
func plant(t testing.TB, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata/sysfs", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	root := t.TempDir()
	lines := bufio.NewScanner(f)
	n := 0
	for ; lines.Scan(); n++ {
		kind, rest, _ := strings.Cut(lines.Text(), " ")
		path, value, ok := strings.Cut(rest, " ")
		if !ok {
			t.Fatalf("%s: line %d: %q", f.Name(), n+1, lines.Text())
		}
		if kind == "l" {
			link(t, filepath.Join(root, path), value)
			continue
		}
		content, err := strconv.Unquote(value)
		if err != nil {
			t.Fatalf("%s: line %d: %v", f.Name(), n+1, err)
		}
		put(t, filepath.Join(root, path), content)
	}
	if err := lines.Err(); err != nil || n < 10 {
		t.Fatalf("%s: %d lines, %v", f.Name(), n, err)
	}
	return root
}

func parent(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, path, content string) {
	t.Helper()
	parent(t, path)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, path, target string) {
	t.Helper()
	parent(t, path)
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// at returns the directory of a disk in a planted tree.
func at(t testing.TB, root, disk string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(filepath.Join(root, "sys/block", disk))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// datagrams reads testdata/uevents/NAME.txt.
func datagrams(t testing.TB, name string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/uevents", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for line := range strings.Lines(string(b)) {
		msg, err := strconv.Unquote(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		all = append(all, []byte(msg))
	}
	if len(all) < 5 {
		t.Fatalf("%s: only %d datagrams: nothing would be tested", name, len(all))
	}
	return all
}

// plantLoop makes a tree with one loop device in it.
func plantLoop(t testing.TB, name string, attributes map[string]string) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "sys/devices/virtual/block", name)
	link(t, filepath.Join(root, "sys/block", name), "../devices/virtual/block/"+name)
	for attribute, value := range map[string]string{"dev": "7:0\n", "size": "2048\n", "ro": "0\n", "removable": "0\n", "diskseq": "4\n",
		"loop/backing_file": "/tmp/stick.img\n", "loop/autoclear": "0\n", "loop/sizelimit": "0\n"} {
		put(t, filepath.Join(dir, attribute), value)
	}
	for attribute, value := range attributes {
		put(t, filepath.Join(dir, attribute), value)
	}
	return root
}
