// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Package liar is a disk that does what no honest one does: it returns other
// bytes the second time, hangs, or is endlessly slow. A test attaches its file
// as a loop device; each read of that device comes here, since a FUSE file
// opened for direct I/O is cached nowhere below the block device.
package liar

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"usbagent/test/need"
)

// Block is the unit, in bytes, in which reads are counted and answered.
const Block = 4096

// Answer decides about one block of the disk: n is how often it was read
// before, honest are its bytes. What it returns is served, cut or filled up with
// zeros to a block. It may block, and is called by several goroutines at once.
type Answer func(offset int64, n int, honest []byte) []byte

// Disk is the one file of a FUSE file system.
type Disk struct {
	Path string
	file *file
}

// New serves the disk image whose content is honest as a file below dir, which
// must not exist, until the test ends.
func New(t testing.TB, dir string, honest []byte, answer Answer) *Disk {
	t.Helper()
	need.Root(t)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := &Disk{Path: filepath.Join(dir, "disk"), file: &file{honest: honest, size: int64(len(honest)), answer: answer, reads: map[int64]int{}}}
	_, err := fs.Mount(dir, &root{file: d.file}, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMount: true, FsName: "liar", Name: "liar", MaxBackground: 64,
	}})
	if err != nil {
		t.Fatalf("mount the lying disk: %v", err)
	}
	t.Cleanup(d.Close)
	return d
}

// Close takes the disk away for good, once its loop device is, and lets go of its
// content: a test of many disks must not keep them all. Calls after the first do
// nothing.
func (d *Disk) Close() {
	if d.file == nil {
		return
	}
	syscall.Unmount(filepath.Dir(d.Path), syscall.MNT_DETACH)
	os.Remove(filepath.Dir(d.Path))
	d.file.mu.Lock()
	d.file.honest, d.file.size, d.file.reads = nil, 0, map[int64]int{}
	d.file.mu.Unlock()
	d.file = nil
}

// OnWrite decides about writes, which else fail: what it returns is answered,
// and no byte of the disk changes. It may block.
func (d *Disk) OnWrite(answer func(offset int64) syscall.Errno) {
	d.file.mu.Lock()
	defer d.file.mu.Unlock()
	d.file.write = answer
}

// Reads is how often the block at offset was read.
func (d *Disk) Reads(offset int64) int {
	d.file.mu.Lock()
	defer d.file.mu.Unlock()
	return d.file.reads[offset/Block]
}

// root is the directory with the one file.
type root struct {
	fs.Inode
	file *file
}

var _ fs.NodeOnAdder = (*root)(nil)

func (r *root) OnAdd(ctx context.Context) {
	r.AddChild("disk", r.NewPersistentInode(ctx, r.file, fs.StableAttr{Mode: syscall.S_IFREG}), true)
}

type file struct {
	fs.Inode
	honest []byte
	answer Answer

	mu    sync.Mutex
	size  int64
	reads map[int64]int
	write func(offset int64) syscall.Errno
}

var (
	_ fs.NodeOpener    = (*file)(nil)
	_ fs.NodeReader    = (*file)(nil)
	_ fs.NodeWriter    = (*file)(nil)
	_ fs.NodeGetattrer = (*file)(nil)
	_ fs.NodeSetattrer = (*file)(nil)
	_ fs.NodeFsyncer   = (*file)(nil)
)

func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	out.Mode, out.Size = syscall.S_IFREG|0o600, uint64(f.size)
	return 0
}

// Setattr changes the size: that is how a test pulls the disk.
func (f *file) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	f.mu.Lock()
	if size, ok := in.GetSize(); ok {
		f.size = min(int64(size), int64(len(f.honest)))
	}
	f.mu.Unlock()
	return f.Getattr(ctx, h, out)
}

func (f *file) Write(_ context.Context, _ fs.FileHandle, p []byte, offset int64) (uint32, syscall.Errno) {
	f.mu.Lock()
	answer := f.write
	f.mu.Unlock()
	if answer == nil {
		return 0, syscall.EROFS
	}
	if errno := answer(offset); errno != 0 {
		return 0, errno
	}
	return uint32(len(p)), 0
}

func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return 0 }

func (f *file) Read(_ context.Context, _ fs.FileHandle, p []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	f.mu.Lock()
	size := f.size
	f.mu.Unlock()
	if offset >= size {
		return fuse.ReadResultData(nil), 0
	}
	p = p[:min(int64(len(p)), size-offset)]
	for done := int64(0); done < int64(len(p)); {
		at := offset + done
		block := f.block(at / Block)
		done += int64(copy(p[done:], block[at%Block:]))
	}
	return fuse.ReadResultData(p), 0
}

// block is what the device says that block number i holds.
func (f *file) block(i int64) []byte {
	honest := make([]byte, Block)
	f.mu.Lock()
	n := f.reads[i]
	f.reads[i]++
	copy(honest, f.honest[min(i*Block, int64(len(f.honest))):])
	f.mu.Unlock()
	said := honest
	if f.answer != nil {
		said = make([]byte, Block)
		copy(said, f.answer(i*Block, n, honest))
	}
	return said
}
