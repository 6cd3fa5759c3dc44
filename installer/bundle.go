// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Limits of a bundle's outer form. The form is that of RAUC's reference manual,
// "Bundle Format": a squashfs, then a CMS structure, then its size as 64 bits,
// big-endian.
const (
	// MaxCMSSize is the largest CMS read, in bytes. RAUC's own limit is
	// 64 KiB; a crypt bundle for many recipients is larger.
	MaxCMSSize = 1 << 20
	// MinBundleSize is the smallest file looked at, in bytes: a squashfs
	// superblock and the size of the CMS.
	MinBundleSize = squashfsSuperblock + cmsSizeBytes

	squashfsSuperblock = 96
	cmsSizeBytes       = 8
)

// squashfsMagic begins a squashfs, version 4, little-endian (kernel,
// Documentation/filesystems/squashfs.rst). The content of an encrypted bundle
// has no magic that could be seen.
var squashfsMagic = []byte("hsqs")

// Trailer is the outer form of a bundle.
type Trailer struct {
	// CMS is the signature at the end, or the envelope of an encrypted bundle.
	CMS []byte
	// ContentSize is the number of bytes before the CMS: what the signature of
	// a plain bundle covers.
	ContentSize int64
	// Squashfs is false where the content does not begin like a squashfs, as
	// with encrypted bundles and with files that are no bundle.
	Squashfs bool
}

// ReadTrailer reads the outer form of the bundle r of size bytes: at most
// MaxCMSSize bytes from its end, and four from its start. It allocates no more
// than the file holds. An error means that it is no RAUC bundle.
func ReadTrailer(r io.ReaderAt, size int64) (Trailer, error) {
	if size < MinBundleSize {
		return Trailer{}, fmt.Errorf("read bundle: %d bytes are too few for a RAUC bundle: copy it anew", size)
	}
	var magic [4]byte
	var end [cmsSizeBytes]byte
	if err := readAt(r, magic[:], 0); err != nil {
		return Trailer{}, fmt.Errorf("read bundle: %w", err)
	}
	if err := readAt(r, end[:], size-cmsSizeBytes); err != nil {
		return Trailer{}, fmt.Errorf("read bundle: %w", err)
	}
	n := binary.BigEndian.Uint64(end[:])
	if n == 0 || n > MaxCMSSize || int64(n) > size-MinBundleSize {
		return Trailer{}, fmt.Errorf("read bundle: no RAUC bundle, or a truncated one: its last 8 bytes are no size of a signature (%d): copy it anew", n)
	}
	t := Trailer{
		CMS:         make([]byte, n),
		ContentSize: size - cmsSizeBytes - int64(n),
		Squashfs:    bytes.Equal(magic[:], squashfsMagic),
	}
	if err := readAt(r, t.CMS, t.ContentSize); err != nil {
		return Trailer{}, fmt.Errorf("read bundle: %w", err)
	}
	return t, nil
}

// readAt fills b from offset; a file that ends early is an error.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%d bytes at offset %d: %w", len(b), offset, err)
}

// bytes returns the trailer as it lies in the file, after the content.
func (t Trailer) bytes() []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(t.CMS), uint64(len(t.CMS)))
}
