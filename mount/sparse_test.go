// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
)

// sparse is a device of which only some bytes are not zero. As a file: the
// device's size (8 bytes, little-endian), then extents of offset (8), length
// (2) and bytes. It is what testdata/probe holds and FuzzProbe changes.
type sparse struct {
	size    int64
	extents []extent // later ones win
}

type extent struct {
	off  int64
	data []byte
}

const (
	sparseHeader = 8
	extentHeader = 10
)

func parseSparse(b []byte) (*sparse, int64) {
	if len(b) < sparseHeader {
		return &sparse{}, 0
	}
	s := &sparse{size: int64(binary.LittleEndian.Uint64(b) &^ (1 << 63))}
	for b = b[sparseHeader:]; len(b) >= extentHeader; {
		off, n := int64(binary.LittleEndian.Uint64(b)&^(1<<63)), int(binary.LittleEndian.Uint16(b[8:]))
		b = b[extentHeader:]
		n = min(n, len(b))
		s.extents = append(s.extents, extent{off, b[:n]})
		b = b[n:]
	}
	return s, s.size
}

func (s *sparse) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	if off >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), s.size-off))
	for _, e := range s.extents {
		from, to := max(off, e.off), min(off+int64(n), e.off+int64(len(e.data)))
		if from < to {
			copy(b[from-off:to-off], e.data[from-e.off:to-e.off])
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// recorder notes which 512-byte blocks are read.
type recorder struct {
	data   []byte
	blocks []int64
}

func (r *recorder) ReadAt(b []byte, off int64) (int, error) {
	for block := off / 512; block*512 < off+int64(len(b)); block++ {
		r.blocks = append(r.blocks, block)
	}
	return bytes.NewReader(r.data).ReadAt(b, off)
}

// sparse is what was read and is not zero, as a file.
func (r *recorder) sparse(size int64) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(size))
	slices.Sort(r.blocks)
	for _, block := range slices.Compact(r.blocks) {
		data := r.data[block*512 : min(block*512+512, int64(len(r.data)))]
		data = bytes.TrimRight(data, "\x00")
		start := len(data) - len(bytes.TrimLeft(data, "\x00"))
		if data = data[start:]; len(data) == 0 {
			continue
		}
		out = binary.LittleEndian.AppendUint64(out, uint64(block*512+int64(start)))
		out = binary.LittleEndian.AppendUint16(out, uint16(len(data)))
		out = append(out, data...)
	}
	return out
}
