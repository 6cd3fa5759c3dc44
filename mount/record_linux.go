// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"usbagent/internal/durable"
)

const (
	// MaxRecords bounds the mounts that mounts.json holds, and so how many
	// there can be at once.
	MaxRecords = 256

	// MaxRecordFile bounds mounts.json, in bytes.
	MaxRecordFile = 1 << 20

	recordFile = "mounts.json"
)

// record is what Recover has to know of a mount.
type record struct {
	Device Device `json:"device"`
	Target string `json:"target"`
	Made   bool   `json:"made"`
	Type   string `json:"type"`
	Driver string `json:"driver"`
	Label  string `json:"label"`
	Helper helper `json:"helper,omitzero"`
}

// record adds x on p to mounts.json; m.mu is held.
func (m *Mounter) record(x *Mount, p point) error {
	if len(m.records) >= MaxRecords {
		return fmt.Errorf("record the mount: %d mounts already", MaxRecords)
	}
	m.records = append(m.records, record{x.Device, p.path, p.made, x.Type, x.Driver, x.Label, x.helper})
	if err := m.store(); err != nil {
		m.records = m.records[:len(m.records)-1]
		return err
	}
	return nil
}

// forget takes the record of target out of mounts.json; m.mu is held.
func (m *Mounter) forget(target string) error {
	m.records = slices.DeleteFunc(m.records, func(r record) bool { return r.Target == target })
	return m.store()
}

// store replaces mounts.json; m.mu is held.
func (m *Mounter) store() error {
	if m.o.RunDir == "" {
		return nil
	}
	data, err := json.Marshal(m.records)
	if err == nil {
		err = os.MkdirAll(m.o.RunDir, 0o755)
	}
	if err == nil {
		err = durable.WriteFile(filepath.Join(m.o.RunDir, recordFile), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("record the mount: %w", err)
	}
	return nil
}

// load reads mounts.json; a missing file is an empty one.
func (m *Mounter) load() ([]record, error) {
	if m.o.RunDir == "" {
		return nil, nil
	}
	f, err := os.OpenFile(filepath.Join(m.o.RunDir, recordFile), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxRecordFile+1))
	if err != nil {
		return nil, err
	}
	return m.parse(data)
}

// parse decodes mounts.json. A record whose target is not one name below the
// root is an error: nothing is unmounted or removed elsewhere.
func (m *Mounter) parse(data []byte) ([]record, error) {
	if len(data) > MaxRecordFile {
		return nil, fmt.Errorf("larger than %d bytes", MaxRecordFile)
	}
	var records []record
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&records); err != nil {
		return nil, err
	}
	if len(records) > MaxRecords {
		return nil, fmt.Errorf("more than %d mounts", MaxRecords)
	}
	root := m.o.Root
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	for _, r := range records {
		if !filepath.IsAbs(r.Target) || filepath.Clean(r.Target) != r.Target || filepath.Dir(r.Target) != root {
			return nil, fmt.Errorf("target %q is not below %s", r.Target, root)
		}
	}
	return records, nil
}

// Recover finds the mounts of an earlier run that crashed or left them to a
// script. Those whose device is still there, as present says, and which
// mountinfo still shows as they were recorded, are returned for use; the others
// are detached and their directories removed. So are empty directories that
// were made for mounts and whose records a power cut took.
//
// It is called once, before the first Mount. An error tells what could not be
// read or cleaned up; what is returned beside it is good. Cleaning up may
// block as long as the device does.
func (m *Mounter) Recover(present func(Device) bool) (reused []*Mount, err error) {
	records, err := m.load()
	if err != nil {
		return nil, also(fmt.Errorf("recover mounts from %s: %w", filepath.Join(m.o.RunDir, recordFile), err), m.sweep())
	}
	m.mu.Lock()
	m.records = records
	for _, r := range records {
		m.reserved[r.Target] = true
	}
	m.mu.Unlock()
	var failed error
	for _, r := range slices.Clone(records) {
		x := m.revive(r)
		if present(r.Device) && x.resume() == nil {
			reused = append(reused, x)
			continue
		}
		failed = also(failed, x.Detach())
	}
	return reused, also(failed, m.sweep())
}

// revive makes a Mount of a record, without its handle yet.
func (m *Mounter) revive(r record) *Mount {
	return &Mount{
		Device: r.Device, Target: r.Target, Type: r.Type, Driver: r.Driver, Label: r.Label,
		FoldCase: foldsCase(r.Type), Reused: true, m: m, made: r.Made, helper: r.Helper,
	}
}

// resume proves that the mount is as it was recorded, and opens its root.
func (x *Mount) resume() error {
	if x.Driver == "ntfs-3g" && !x.helper.alive() {
		return errors.New("its ntfs-3g is gone")
	}
	id, err := proveMount(x.Target, x.Device)
	if err != nil {
		return err
	}
	fd, err := unix.Open(x.Target, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", x.Target, err)
	}
	x.root = os.NewFile(uintptr(fd), x.Target)
	x.id = id
	return nil // no stat: a hanging device would hold up the start
}
