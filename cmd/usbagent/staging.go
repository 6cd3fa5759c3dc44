// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"usbagent/agent"
	"usbagent/internal/durable"
)

// part is one file of a stick: its content, or where that is.
type part struct {
	name    string // below the root, with slashes
	content []byte
	source  string
}

// The directories that a stick is put together in. Boards never look at names
// that begin with a dot, so what an interrupted run leaves does no harm.
const (
	stagingName = ".usbagent-stick.new"
	replaced    = ".usbagent-stick.old"
)

// staging is a stick that is being made, inside its directory: nothing has to
// be copied again when it is done.
type staging struct {
	root, dir, old string
	obstacles      []string // names in root that have to go
}

// newStaging looks at what is in the directory already. What a board would
// look at there, and what is in the way of a part, is an error unless force is
// true.
func newStaging(root string, parts []part, force bool) (*staging, error) {
	s := &staging{root: root, dir: filepath.Join(root, stagingName), old: filepath.Join(root, replaced)}
	if _, err := os.Lstat(s.old); err == nil {
		return nil, fmt.Errorf("%s is there from a run that was cut off: move back what you need of it, and remove it", s.old)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() != stagingName && inTheWay(e.Name(), parts) {
			s.obstacles = append(s.obstacles, e.Name())
		}
	}
	if len(s.obstacles) > 0 && !force {
		return nil, fmt.Errorf("%s has %s already: remove that, or give --force", root, word(strings.Join(s.obstacles, ", ")))
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return nil, err
	}
	return s, os.Mkdir(s.dir, 0o755)
}

// inTheWay reports whether a name in the root directory is one that a board
// looks at or that a part gets. A name that differs only in case counts: the
// stick may go through file systems that do not tell them apart.
func inTheWay(name string, parts []part) bool {
	lower := strings.ToLower(name)
	for _, wanted := range []string{agent.KeyringName, agent.ScriptName} {
		if lower == wanted || lower == wanted+agent.SignatureSuffix {
			return true
		}
	}
	if strings.HasSuffix(lower, agent.ImageSuffix) && !strings.HasPrefix(lower, ".") {
		return true
	}
	for _, p := range parts {
		if first, _, _ := strings.Cut(p.name, "/"); strings.EqualFold(first, name) {
			return true
		}
	}
	return false
}

// fill copies the parts into the staging directory, makes them durable, and
// reads each again.
func (s *staging) fill(ctx context.Context, parts []part) error {
	for _, p := range parts {
		if err := s.copy(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", word(p.name), err)
		}
	}
	return nil
}

func (s *staging) copy(ctx context.Context, p part) error {
	from, size, err := p.open()
	if err != nil {
		return err
	}
	defer from.Close()
	to := filepath.Join(s.dir, filepath.FromSlash(p.name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	written := sha256.New()
	progress := &meter{ctx: ctx, r: from, name: p.name, size: size, show: showProgress()}
	err = writeDurably(to, io.TeeReader(progress, written))
	progress.end()
	if err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	again, err := sumOf(ctx, to)
	if err == nil && !bytes.Equal(again, written.Sum(nil)) {
		err = errors.New("the stick returns other bytes than were written: it is broken, use another one")
	}
	return err
}

// open returns the content and its size in bytes.
func (p part) open() (io.ReadCloser, int64, error) {
	if p.source == "" {
		return io.NopCloser(bytes.NewReader(p.content)), int64(len(p.content)), nil
	}
	info, err := os.Stat(p.source)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is no regular file", p.source)
	}
	f, err := os.Open(p.source)
	return f, info.Size(), err
}

func writeDurably(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// sumOf reads a file that was just written, from the stick if that can be had.
func sumOf(ctx context.Context, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	forgetCached(f)
	sum := sha256.New()
	_, err = io.Copy(sum, &meter{ctx: ctx, r: f})
	return sum.Sum(nil), err
}

// meter tells how far a copy is, and ends it with its context.
type meter struct {
	ctx        context.Context
	r          io.Reader
	name       string
	done, size int64
	show       func(file string, done, size int64)
}

func (m *meter) Read(b []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(b)
	if m.done += int64(n); m.show != nil {
		m.show(m.name, m.done, m.size)
	}
	return n, err
}

func (m *meter) end() {
	if m.show != nil {
		clearLine()
	}
}

// commit puts the parts in their places. What was there goes aside first, and
// comes back where something fails: the directory is as it was, or done.
func (s *staging) commit(parts []part) (err error) {
	var undo []func() error
	defer func() {
		for i := len(undo) - 1; err != nil && i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
		if err == nil {
			err = os.RemoveAll(s.old)
		}
	}()
	move := func(from, to string) error {
		err := os.Rename(from, to)
		if err == nil {
			undo = append(undo, func() error { return os.Rename(to, from) })
		}
		return err
	}
	if len(s.obstacles) > 0 {
		if err := os.Mkdir(s.old, 0o755); err != nil {
			return err
		}
		undo = append(undo, func() error { return os.Remove(s.old) })
	}
	for _, name := range s.obstacles {
		if err := move(filepath.Join(s.root, name), filepath.Join(s.old, name)); err != nil {
			return err
		}
	}
	for _, first := range firsts(parts) {
		if err := move(filepath.Join(s.dir, first), filepath.Join(s.root, first)); err != nil {
			return err
		}
	}
	return durable.SyncDir(s.root)
}

// firsts are the names of the parts in the root directory, each once.
func firsts(parts []part) []string {
	var list []string
	seen := make(map[string]bool)
	for _, p := range parts {
		first, _, _ := strings.Cut(p.name, "/")
		if !seen[first] {
			list = append(list, first)
		}
		seen[first] = true
	}
	return list
}

// clear removes what is left of the staging directory.
func (s *staging) clear() { _ = os.RemoveAll(s.dir) }
