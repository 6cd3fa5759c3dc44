// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// archiveFile is one entry of an initramfs.
type archiveFile struct {
	name string
	mode uint32 // with the file type, as in stat(2)
	data []byte
	rdev [2]uint32
}

const (
	modeDir     = 0o040000
	modeRegular = 0o100000
	modeLink    = 0o120000
	modeChar    = 0o020000
)

// writeArchive writes files as the kernel's "newc" cpio archive
// (Documentation/driver-api/early-userspace/buffer-format.rst).
func writeArchive(path string, files []archiveFile) error {
	var b bytes.Buffer
	add := func(n int, f archiveFile) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			n, f.mode, 0, 0, 1, 0, len(f.data), 0, 0, f.rdev[0], f.rdev[1], len(f.name)+1, 0)
		b.WriteString(f.name + "\x00")
		pad(&b)
		b.Write(f.data)
		pad(&b)
	}
	for i, f := range files {
		add(i+1, f)
	}
	add(0, archiveFile{name: "TRAILER!!!"})
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}

// skeleton is what every initramfs here has: busybox and its directories.
func skeleton(root string) ([]archiveFile, error) {
	var files []archiveFile
	for _, dir := range []string{"bin", "dev", "proc", "sys", "run", "modules", "new", "base", "etc", "tmp", "media", "srv", "var", "usr", "usr/bin"} {
		files = append(files, archiveFile{name: dir, mode: modeDir | 0o755})
	}
	busybox, err := os.ReadFile(filepath.Join(root, "bin", "busybox"))
	if err != nil {
		return nil, err
	}
	return append(files,
		archiveFile{name: "bin/busybox", mode: modeRegular | 0o755, data: busybox},
		archiveFile{name: "bin/sh", mode: modeLink | 0o777, data: []byte("busybox")},
		archiveFile{name: "dev/console", mode: modeChar | 0o600, rdev: [2]uint32{5, 1}},
	), nil
}

// moduleTree indexes the modules of an unpacked kernel by name.
type moduleTree struct {
	dir     string // …/lib/modules/RELEASE
	path    map[string]string
	needs   map[string][]string
	builtin map[string]bool
}

// readModules runs depmod over the unpacked kernel in root and reads its answer.
func readModules(root, release string) (*moduleTree, error) {
	if err := command(nil, "depmod", "-b", root, release); err != nil {
		return nil, err
	}
	t := &moduleTree{
		dir:  filepath.Join(root, "lib", "modules", release),
		path: map[string]string{}, needs: map[string][]string{}, builtin: map[string]bool{},
	}
	dep, err := os.ReadFile(filepath.Join(t.dir, "modules.dep"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(dep)) {
		path, needs, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok {
			t.path[moduleName(path)] = path
			t.needs[path] = strings.Fields(needs)
		}
	}
	builtin, err := os.ReadFile(filepath.Join(t.dir, "modules.builtin"))
	for line := range strings.Lines(string(builtin)) {
		t.builtin[moduleName(strings.TrimSpace(line))] = true
	}
	return t, err
}

// moduleName is a module's name as the kernel compares it.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// order lists the files of the named modules and all they need, in an order in
// which insmod takes them. A module built into the kernel is left out.
func (t *moduleTree) order(names ...string) ([]string, error) {
	var list []string
	seen := map[string]bool{}
	var add func(path string)
	add = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		for _, need := range t.needs[path] {
			add(need)
		}
		list = append(list, path)
	}
	for _, name := range names {
		name = moduleName(name)
		path, ok := t.path[name]
		if !ok && !t.builtin[name] {
			return nil, fmt.Errorf("the kernel has no module %s", name)
		}
		if ok {
			add(path)
		}
	}
	return list, nil
}

// matching lists the modules whose name begins with prefix.
func (t *moduleTree) matching(prefix string) []string {
	var names []string
	for name := range t.path {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// bootModules are initramfs entries for the modules and for /modules/order,
// which the init scripts in files/ load in that order.
func (t *moduleTree) bootModules(names ...string) ([]archiveFile, error) {
	list, err := t.order(names...)
	if err != nil {
		return nil, err
	}
	var files []archiveFile
	var order strings.Builder
	for _, path := range list {
		data, err := os.ReadFile(filepath.Join(t.dir, path))
		if err != nil {
			return nil, err
		}
		name := moduleName(path) + ".ko"
		files = append(files, archiveFile{name: "modules/" + name, mode: modeRegular | 0o644, data: data})
		order.WriteString(name + "\n")
	}
	return append(files, archiveFile{name: "modules/order", mode: modeRegular | 0o644, data: []byte(order.String())}), nil
}

// copyModules copies the named modules and what they need into root, with the
// files depmod wants to see.
func (t *moduleTree) copyModules(root, release string, names []string) error {
	list, err := t.order(names...)
	if err != nil {
		return err
	}
	target := filepath.Join(root, "lib", "modules", release)
	for _, path := range append(list, "modules.order", "modules.builtin", "modules.builtin.modinfo") {
		if err := copyFile(filepath.Join(target, path), filepath.Join(t.dir, path), 0o644); err != nil {
			return err
		}
	}
	return command(nil, "depmod", "-b", root, release)
}

// copyFile copies a small file and makes its directories.
func copyFile(to, from string, mode fs.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return writeFile(to, data, mode)
}

// writeFile writes a file with exactly that mode and makes its directories.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
