// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Mounter mounts devices below one root. It is safe for concurrent use.
type Mounter struct {
	o Options

	mu       sync.Mutex
	reserved map[string]bool // names below Root that a Mount of ours uses or is about to
	records  []record        // what mounts.json holds
}

// Mount is one mounted device. Its methods are safe for concurrent use.
type Mount struct {
	Device   Device
	Target   string // absolute path of the mount point
	Type     string // as Superblock.Type: ext4, vfat, ntfs, …
	Driver   string // what mounted it: ext4, vfat, ntfs3, ntfs-3g, …
	Label    string // as Superblock.Label: not made safe
	FoldCase bool   // FAT, exFAT, NTFS: names differ not by case alone
	Reused   bool   // found by Recover

	// Warnings are what went less well than it should, for the log.
	Warnings []string

	m      *Mounter
	made   bool // the directory is ours
	helper helper

	mu       sync.Mutex
	id       int // of the mount in mountinfo
	root     *os.File
	detached bool
}

// New checks the options. It touches nothing yet.
func New(o Options) (*Mounter, error) {
	if !filepath.IsAbs(o.Root) || filepath.Clean(o.Root) == "/" {
		return nil, fmt.Errorf("mount root %q: must be an absolute path below /", o.Root)
	}
	o.Root = filepath.Clean(o.Root)
	if o.Fmask > 0o777 || o.Dmask > 0o777 {
		return nil, fmt.Errorf("mount masks %#o and %#o: no more than 0777", o.Fmask, o.Dmask)
	}
	for _, fstype := range o.Filesystems {
		if !slices.Contains(Filesystems, fstype) {
			return nil, fmt.Errorf("mount file systems: %q is not known", fstype)
		}
	}
	_, _ = json.Marshal([]record{{}}) // so that the first mount need not wait until json knows the type
	return &Mounter{o: o, reserved: make(map[string]bool)}, nil
}

// Mount mounts d read-only, nosuid and nodev below the root, and proves by
// mountinfo that it is so.
//
// It blocks as long as the device does, whatever ctx says: the caller runs it
// where it can be abandoned. When ctx is done by the time the device answers,
// the mount is undone and ctx's error returned.
//
// Errors: see [Probe] for devices without a usable file system; [ErrMounted],
// [ErrReplaced], [ErrNotAllowed], [ErrNoDriver].
func (m *Mounter) Mount(ctx context.Context, d Device) (*Mount, error) {
	x, err := m.mount(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", d.Path, err)
	}
	return x, nil
}

func (m *Mounter) mount(ctx context.Context, d Device) (*Mount, error) {
	f, err := openDevice(&d)
	if err != nil {
		return nil, err
	}
	defer f.Close() // held until the mount is proven, so that its number stays its own
	if !warm(f) {
		if at, err := mountedAt(d); err != nil {
			return nil, err
		} else if at != "" {
			return nil, fmt.Errorf("%w on %q", ErrMounted, at)
		}
	}
	s, err := m.probe(f, d)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	x := &Mount{Device: d, Type: s.Type, Label: s.Label, FoldCase: s.FoldCase(), m: m}
	if s.Size > d.Size {
		x.Warnings = append(x.Warnings, fmt.Sprintf("the file system has %d bytes, the device only %d: some files cannot be read", s.Size, d.Size))
	}
	if err := m.tree(ctx, x, s); err != nil {
		return nil, err
	}
	if err := x.settle(ctx, f); err != nil {
		x.root.Close() // dissolves a mount that is attached nowhere
		return nil, also(err, x.helper.end())
	}
	return x, nil
}

// probe looks for a file system that may be mounted.
func (m *Mounter) probe(f *os.File, d Device) (Superblock, error) {
	s, err := Probe(f, d.Size)
	if err != nil {
		return s, err
	}
	if !m.o.allows(s.Type) {
		return s, fmt.Errorf("%w: %s", ErrNotAllowed, s.Type)
	}
	return s, refuse(s)
}

// refuse says no to what a superblock asks for and nobody can override.
func refuse(s Superblock) error {
	if s.ExternalJournal {
		return broken(s.Type, "its journal lies on another device: refused")
	}
	if s.MountOptions != "" {
		return broken(s.Type, "it holds mount options of its own (%q): refused (clear them with: tune2fs -E mount_opts=)", s.MountOptions)
	}
	return nil
}

// settle attaches the mount to a directory of its own, and proves that it is
// the device that was asked for.
func (x *Mount) settle(ctx context.Context, f *os.File) error {
	if err := sameDevice(x.root, x.Device); err != nil {
		return err
	}
	p, err := x.m.makePoint(SafeName(x.Label, x.Device.Name), x)
	if err != nil {
		return err
	}
	defer p.dir.Close()
	x.Target, x.made = p.path, p.made
	err = ctx.Err()
	if err == nil {
		err = attach(x.root, p.dir)
	}
	if err != nil {
		return also(err, x.m.dropPoint(x))
	}
	if x.id, err = proveMount(x.Target, x.Device); err == nil {
		err = checkDevice(f, x.Device)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return also(err, x.Detach())
	}
	return nil
}

// Root returns a handle (O_PATH) of the mount's root directory, for openat2.
// It belongs to the Mount and is closed by Detach.
func (x *Mount) Root() *os.File { return x.root }
