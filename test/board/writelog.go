// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// WriteLog is a recording of everything a board wrote to a disk, in order, with
// its flushes: the format of dm-log-writes
// (Documentation/admin-guide/device-mapper/log-writes.rst), as QEMU's
// blklogwrites filter writes it.
type WriteLog struct {
	f       *os.File
	entries []logEntry
}

type logEntry struct {
	at, size int64 // bytes on the disk
	flags    uint64
	data     int64 // offset in the log
}

const (
	logMagic   = 0x6a736677736872
	logFlush   = 1 << 0
	logFUA     = 1 << 1
	logDiscard = 1 << 2
	logSector  = 512
)

// OpenWriteLog reads the index of a recording. A QEMU that was killed leaves a
// stale count in its header, so the entries are followed to the end.
func OpenWriteLog(path string) (*WriteLog, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	head := make([]byte, logSector)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("read write log: %w", err), f.Close())
	}
	if binary.LittleEndian.Uint64(head) != logMagic {
		return nil, errors.Join(errors.New("read write log: no dm-log-writes header"), f.Close())
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l := &WriteLog{f: f}
	for at := int64(logSector); at+logSector <= info.Size(); {
		if _, err := f.ReadAt(head, at); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		count := int64(binary.LittleEndian.Uint64(head[8:]))
		e := logEntry{
			at: int64(binary.LittleEndian.Uint64(head)) * logSector, size: count * logSector,
			flags: binary.LittleEndian.Uint64(head[16:]), data: at + logSector,
		}
		if e.flags == 0 && count == 0 {
			break // beyond what was recorded
		}
		at += logSector
		if e.flags&logDiscard == 0 {
			at += e.size
		}
		if at > info.Size() {
			break
		}
		l.entries = append(l.entries, e)
	}
	return l, nil
}

// Close closes the recording.
func (l *WriteLog) Close() error { return l.f.Close() }

// Len is the number of entries.
func (l *WriteLog) Len() int { return len(l.entries) }

// Flushes lists the entries at which all that was written before is safe. A
// disk without a write cache has none: there every write is.
func (l *WriteLog) Flushes() []int {
	var list []int
	for i, e := range l.entries {
		if e.flags&(logFlush|logFUA) != 0 {
			list = append(list, i)
		}
	}
	return list
}

// Apply writes the entries from (included) to to (excluded) to the disk image.
func (l *WriteLog) Apply(image string, from, to int) error {
	out, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, e := range l.entries[from:to] {
		var in io.Reader = io.NewSectionReader(l.f, e.data, e.size)
		if e.flags&logDiscard != 0 {
			continue // what a discarded block holds is not defined
		}
		if _, err = io.Copy(io.NewOffsetWriter(out, e.at), in); err != nil {
			break
		}
	}
	return errors.Join(err, out.Close())
}
