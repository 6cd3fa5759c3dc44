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
type file[T any] struct {
	Version int `json:"version"`
	Entries []T `json:"entries"`
}

// table is one kind of entries: a file and what is known of it. l.mu guards it.
type table[T any] struct {
	ledger  *Ledger
	path    string
	most    int
	bound   func(*T)
	entries []T         // oldest first
	info    fs.FileInfo // of the file that entries were read from or written to
	unsaved bool        // entries has more than the file
}

func newTable[T any](l *Ledger, name string, most int, bound func(*T)) table[T] {
	return table[T]{ledger: l, path: filepath.Join(l.dir, name), most: most, bound: bound}
}

// open reads the file for the first time. The lock is held.
func (t *table[T]) open() {
	durable.RemoveStale(t.path)
	entries, info, err := t.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.setAside(err)
		return
	}
	t.entries, t.info = entries, info
}

// read returns what the file holds, trimmed to the bounds of the ledger.
func (t *table[T]) read() ([]T, fs.FileInfo, error) {
	info, err := os.Lstat(t.path)
	if err != nil {
		return nil, nil, err
	}
	data, err := durable.ReadFile(t.path, MaxFileSize)
	if err != nil {
		return nil, nil, err
	}
	list, err := decode(data, t.most, t.bound)
	return list, info, err
}

// maxEntry bounds one entry in bytes: the largest that bound leaves is below.
const maxEntry = 1 << 20

// decode reads a file entry by entry and keeps the newest most of them, so
// that a file full of tiny entries does not fill the memory.
func decode[T any](data []byte, most int, bound func(*T)) ([]T, error) {
	var head struct {
		Version int             `json:"version"`
		Entries json.RawMessage `json:"entries"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	if head.Version != version {
		return nil, fmt.Errorf("format %d is not known", head.Version)
	}
	decoder := json.NewDecoder(bytes.NewReader(head.Entries))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('[') {
		return nil, errors.New("there is no list of entries")
	}
	var list []T
	for decoder.More() {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, err
		}
		if len(raw) > maxEntry {
			return nil, fmt.Errorf("an entry has %d bytes", len(raw))
		}
		var x T
		if err := json.Unmarshal(raw, &x); err != nil {
			return nil, err
		}
		bound(&x)
		if list = append(list, x); len(list) > 2*most {
			list = slices.Delete(list, 0, len(list)-most)
		}
	}
	return list[max(0, len(list)-most):], nil
}

// setAside renames a file that cannot be used, so that it is not in the way
// and can be looked at. One such file of each kind is kept.
func (t *table[T]) setAside(why error) {
	aside := t.path + ".damaged"
	os.RemoveAll(aside) // in a directory that is root's alone; follows no links
	note := fmt.Sprintf("%s cannot be used (%s), set aside as %s", t.path, cut(why.Error()), filepath.Base(aside))
	if err := os.Rename(t.path, aside); err != nil {
		note = fmt.Sprintf("%s cannot be used (%s) nor set aside (%v)", t.path, cut(why.Error()), err)
	}
	t.ledger.damaged = append(t.ledger.damaged, note)
}

// refresh takes over what another process wrote meanwhile.
func (t *table[T]) refresh() {
	info, err := os.Lstat(t.path)
	if err != nil || t.unsaved || same(info, t.info) {
		return
	}
	if entries, info, err := t.read(); err == nil {
		t.entries, t.info = entries, info
	}
}

func same(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// save writes the entries; the oldest give way to the bounds.
func (t *table[T]) save() error {
	t.entries = t.entries[max(0, len(t.entries)-t.most):]
	for i := range t.entries {
		t.bound(&t.entries[i])
	}
	data, err := t.encode()
	if err != nil {
		return err
	}
	if info, err := os.Lstat(t.path); err == nil && !info.Mode().IsRegular() {
		t.setAside(fmt.Errorf("it is no regular file but %v", info.Mode()))
	}
	if err := durable.WriteFile(t.path, data, 0o600); err != nil {
		return err
	}
	t.info, err = os.Lstat(t.path)
	return err
}

// encode drops the oldest entries until the rest fits in MaxFileSize.
func (t *table[T]) encode() ([]byte, error) {
	for {
		data, err := marshal(t.entries)
		if err != nil || len(data) < MaxFileSize {
			return append(data, '\n'), err
		}
		t.entries = t.entries[max(1, len(t.entries)/8):]
	}
}

func marshal[T any](list []T) ([]byte, error) {
	return json.Marshal(file[T]{version, append([]T{}, list...)}) // never null
}

// change edits t and saves it. The change is kept in memory even when it
// cannot be saved.
func change[T any](l *Ledger, t *table[T], edit func([]T) ([]T, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	unlock, lockErr := durable.Lock(filepath.Join(l.dir, lockName), LockWait)
	if lockErr == nil {
		defer unlock()
		t.refresh()
	}
	list, err := edit(slices.Clone(t.entries))
	if err != nil {
		return fmt.Errorf("change state: %w", err)
	}
	t.entries, t.unsaved = list, true
	if lockErr != nil {
		return fmt.Errorf("change state: %w", lockErr)
	}
	if err := t.save(); err != nil {
		return fmt.Errorf("change state: %w", err)
	}
	t.unsaved = false
	return nil
}

// add appends one entry.
func add[T any](l *Ledger, t *table[T], x T) error {
	return change(l, t, func(list []T) ([]T, error) { return append(list, x), nil })
}

// entries returns a copy of all entries, oldest first.
func entries[T any](l *Ledger, t *table[T]) []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.refresh()
	list := slices.Clone(t.entries)
	for i := range list {
		t.bound(&list[i]) // also makes it a copy down to its lists
	}
	return list
}

// newest returns the newest entry that is the right one.
func newest[T any](l *Ledger, t *table[T], right func(T) bool) (T, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.refresh()
	for _, x := range slices.Backward(t.entries) {
		if right(x) {
			t.bound(&x)
			return x, true
		}
	}
	var none T
	return none, false
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
