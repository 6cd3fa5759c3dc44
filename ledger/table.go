// SPDX-License-Identifier: GPL-3.0-or-later

package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"usbagent/internal/durable"
)

// version is the format of the files.
const version = 1

// file is one table as it is written.
type file struct {
	Version int `json:"version"`
	Entries any `json:"entries"`
}

// table is one kind of entries. l.mu guards it.
type table[T any] struct {
	store
	most    int
	bound   func(*T)
	entries []T // oldest first
}

// store is what tables of all kinds have in common: a file and what is known
// of it. It is apart because code with a type parameter is in the program once
// for each kind.
type store struct {
	ledger  *Ledger
	path    string
	content content
	info    fs.FileInfo // of the file that entries were read from or written to
	unsaved bool        // there are more entries than in the file
}

// content is a table as its store sees it.
type content interface {
	decode(data []byte) error // on an error, the entries stay what they are
	encode() ([]byte, error)
}

func (t *table[T]) init(l *Ledger, name string, most int, bound func(*T)) *store {
	*t = table[T]{store{ledger: l, path: filepath.Join(l.dir, name), content: t}, most, bound, nil}
	return &t.store
}

// open reads the file for the first time. The lock is held.
func (s *store) open() {
	durable.RemoveStale(s.path)
	if err := s.read(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.setAside(err)
	}
}

// read takes over what the file holds, trimmed to the bounds of the ledger.
func (s *store) read() error {
	info, err := os.Lstat(s.path)
	if err != nil {
		return err
	}
	data, err := durable.ReadFile(s.path, MaxFileSize)
	if err != nil {
		return err
	}
	if err := s.content.decode(data); err != nil {
		return err
	}
	s.info = info
	return nil
}

func (t *table[T]) decode(data []byte) error {
	list, err := decode(data, t.most, t.bound)
	if err == nil {
		t.entries = list
	}
	return err
}

// maxEntry bounds one entry in bytes: the largest that bound leaves is below.
const maxEntry = 1 << 20

// decode reads a file entry by entry and keeps the newest most of them, so
// that a file full of tiny entries does not fill the memory.
func decode[T any](data []byte, most int, bound func(*T)) ([]T, error) {
	var list []T
	err := each(data, func(raw []byte) error {
		var x T
		if err := json.Unmarshal(raw, &x); err != nil {
			return err
		}
		bound(&x)
		if list = append(list, x); len(list) > 2*most {
			list = slices.Delete(list, 0, len(list)-most)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list[max(0, len(list)-most):], nil
}

// each hands over the entries of a file.
func each(data []byte, take func(raw []byte) error) error {
	var head struct {
		Version int             `json:"version"`
		Entries json.RawMessage `json:"entries"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	if head.Version != version {
		return fmt.Errorf("format %d is not known", head.Version)
	}
	decoder := json.NewDecoder(bytes.NewReader(head.Entries))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('[') {
		return errors.New("there is no list of entries")
	}
	for decoder.More() {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return err
		}
		if len(raw) > maxEntry {
			return fmt.Errorf("an entry has %d bytes", len(raw))
		}
		if err := take(raw); err != nil {
			return err
		}
	}
	return nil
}

// setAside renames a file that cannot be used, so that it is not in the way
// and can be looked at. One such file of each kind is kept.
func (s *store) setAside(why error) {
	aside := s.path + ".damaged"
	os.RemoveAll(aside) // in a directory that is root's alone; follows no links
	note := fmt.Sprintf("%s cannot be used (%s), set aside as %s", s.path, cut(why.Error()), filepath.Base(aside))
	if err := os.Rename(s.path, aside); err != nil {
		note = fmt.Sprintf("%s cannot be used (%s) nor set aside (%v)", s.path, cut(why.Error()), err)
	}
	s.ledger.damaged = append(s.ledger.damaged, note)
}

// refresh takes over what another process wrote meanwhile.
func (s *store) refresh() {
	info, err := os.Lstat(s.path)
	if err != nil || s.unsaved || same(info, s.info) {
		return
	}
	_ = s.read() // what cannot be read is as if it were not there
}

func same(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// save writes the entries; the oldest give way to the bounds.
func (s *store) save() error {
	data, err := s.content.encode()
	if err != nil {
		return err
	}
	if info, err := os.Lstat(s.path); err == nil && !info.Mode().IsRegular() {
		s.setAside(fmt.Errorf("it is no regular file but %v", info.Mode()))
	}
	if err := durable.WriteFile(s.path, data, 0o600); err != nil {
		return err
	}
	s.info, err = os.Lstat(s.path)
	return err
}

// encode drops the oldest entries until the rest is within the bounds and fits
// in MaxFileSize.
func (t *table[T]) encode() ([]byte, error) {
	t.entries = t.entries[max(0, len(t.entries)-t.most):]
	for i := range t.entries {
		t.bound(&t.entries[i])
	}
	for {
		data, err := marshal(t.entries)
		if err != nil || len(data) < MaxFileSize {
			return append(data, '\n'), err
		}
		t.entries = t.entries[max(1, len(t.entries)/8):]
	}
}

func marshal[T any](list []T) ([]byte, error) {
	return json.Marshal(file{version, append([]T{}, list...)}) // never null
}

// change edits the entries and saves them. The change is kept in memory even
// when it cannot be saved; where edit returns an error, it has changed nothing.
func (s *store) change(edit func() error) error {
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	unlock, lockErr := durable.Lock(filepath.Join(l.dir, lockName), LockWait)
	if lockErr == nil {
		defer unlock()
		s.refresh()
	}
	if err := edit(); err != nil {
		return fmt.Errorf("change state: %w", err)
	}
	s.unsaved = true
	if lockErr != nil {
		return fmt.Errorf("change state: %w", lockErr)
	}
	if err := s.save(); err != nil {
		return fmt.Errorf("change state: %w", err)
	}
	s.unsaved = false
	return nil
}

// add appends one entry.
func (t *table[T]) add(x T) error {
	return t.change(func() error { t.entries = append(t.entries, x); return nil })
}

// all returns a copy of all entries, oldest first.
func (t *table[T]) all() []T {
	t.ledger.mu.Lock()
	defer t.ledger.mu.Unlock()
	t.refresh()
	list := slices.Clone(t.entries)
	for i := range list {
		t.bound(&list[i]) // also makes it a copy down to its lists
	}
	return list
}

// newest returns the newest entry that is the right one.
func (t *table[T]) newest(right func(*T) bool) (x T, ok bool) {
	t.ledger.mu.Lock()
	defer t.ledger.mu.Unlock()
	t.refresh()
	if found := t.last(right); found != nil {
		x = *found
		t.bound(&x)
		return x, true
	}
	return x, false
}

// amend changes the newest entry that is the right one, whose id is for the
// message.
func (t *table[T]) amend(id string, right func(*T) bool, set func(*T)) error {
	return t.change(func() error {
		found := t.last(right)
		if found == nil {
			return fmt.Errorf("%s in %s: %w", id, t.path, fs.ErrNotExist)
		}
		set(found)
		return nil
	})
}

// last returns the newest entry that is the right one, or nil.
func (t *table[T]) last(right func(*T) bool) *T {
	for i := len(t.entries) - 1; i >= 0; i-- {
		if right(&t.entries[i]) {
			return &t.entries[i]
		}
	}
	return nil
}

// cut bounds a string.
func cut(s string) string {
	if len(s) <= MaxString {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ToValidUTF8(s[:MaxString-len("…")], "") + "…"
}

func cutAll(list ...*string) {
	for _, s := range list {
		*s = cut(*s)
	}
}

// clean makes a time of a clock that nobody trusts one that JSON can hold.
func clean(times ...*time.Time) {
	for _, t := range times {
		if y := t.Year(); y < 1 || y > 9999 {
			*t = time.Time{}
		}
		*t = t.Round(0).UTC()
	}
}

// bound brings an entry within the bounds and unties it from the caller's.
func (s *Stick) bound() {
	cutAll(&s.BootID, &s.Device, &s.Label, &s.Filesystem, &s.Mountpoint, &s.Result, &s.Waiting)
	clean(&s.Started, &s.Finished)
	s.Steps = slices.Clone(s.Steps[:min(len(s.Steps), MaxSteps)])
	for i := range s.Steps {
		x := &s.Steps[i]
		cutAll(&x.Step, &x.Device, &x.File, &x.Result, &x.Reason)
	}
	if s.Steps == nil {
		s.Steps = []Step{}
	}
}

func (k *Keyring) bound() {
	const most = 100 // certificates
	cutAll(&k.Action, &k.Signer, &k.Stick)
	clean(&k.Time)
	for _, list := range []*[]string{&k.Before, &k.After} {
		*list = slices.Clone((*list)[:min(len(*list), most)])
		for i := range *list {
			cutAll(&(*list)[i])
		}
	}
}

func (s *Script) bound() {
	cutAll(&s.ID, &s.MD5, &s.SHA256, &s.Stick, &s.Device, &s.BootID, &s.Signal)
	clean(&s.Started, &s.Ended)
}

func (i *Image) bound() {
	cutAll(&i.ID, &i.Name, &i.Version, &i.Compatible, &i.Path, &i.Slot, &i.BootID, &i.Result, &i.Reason)
	clean(&i.Started, &i.Ended)
}
