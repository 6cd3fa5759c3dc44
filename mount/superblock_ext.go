// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// The ext2/3/4 superblock: 1024 bytes at offset 1024, little-endian
// (Documentation/filesystems/ext4/super.rst).
const (
	extOffset = 1024
	extSize   = 1024
	extMagic  = 0xef53

	extCompatJournal = 0x4

	extIncompatFiletype   = 0x2
	extIncompatRecover    = 0x4
	extIncompatJournalDev = 0x8
	extIncompatMetaBG     = 0x10
	extIncompat64Bit      = 0x80

	extROSparse       = 0x1
	extROLarge        = 0x2
	extROBtree        = 0x4
	extROMetadataCsum = 0x400

	// What the ext3 driver knew; anything else makes it ext4 (libblkid).
	ext3Incompat = extIncompatFiletype | extIncompatRecover | extIncompatMetaBG
	ext3RO       = extROSparse | extROLarge | extROBtree

	extErrorsPanic  = 3
	extMaxLogBlock  = 6 // 64 KiB, the largest block size
	extOffMountOpts = 0x200
	extOffChecksum  = 0x3fc
)

func probeExt(p *prober) (Superblock, error) {
	b, err := p.first(extOffset, extSize)
	if err != nil {
		return Superblock{}, err
	}
	le := binary.LittleEndian
	if le.Uint16(b[0x38:]) != extMagic {
		return Superblock{}, errAbsent
	}
	compat, incompat, ro := le.Uint32(b[0x5c:]), le.Uint32(b[0x60:]), le.Uint32(b[0x64:])
	s := Superblock{
		Type:            extType(compat, incompat, ro),
		Version:         fmt.Sprintf("%d.%d", le.Uint32(b[0x4c:]), le.Uint16(b[0x3e:])),
		Label:           text(b[0x78:0x88]),
		UUID:            uuid(b[0x68:0x78]),
		NeedsRecovery:   compat&extCompatJournal != 0 && incompat&extIncompatRecover != 0,
		ExternalJournal: compat&extCompatJournal != 0 && (le.Uint32(b[0xe0:]) == 0 || le.Uint32(b[0xe4:]) != 0),
		ErrorsPanic:     le.Uint16(b[0x3c:]) == extErrorsPanic,
		MountOptions:    text(b[extOffMountOpts : extOffMountOpts+64]),
	}
	if incompat&extIncompatJournalDev != 0 {
		return Superblock{}, broken("jbd", "an external journal, no file system")
	}
	s.Size, err = extGeometry(b, s.Type, incompat)
	if err != nil {
		return Superblock{}, err
	}
	if ro&extROMetadataCsum != 0 && extChecksum(b) != le.Uint32(b[extOffChecksum:]) {
		return Superblock{}, broken(s.Type, "damaged: the superblock's checksum is wrong")
	}
	if s.Size > p.size {
		return Superblock{}, broken(s.Type, "cut short: the file system has %d bytes, the device %d", s.Size, p.size)
	}
	return s, nil
}

// extType tells the three by their features, as libblkid does.
func extType(compat, incompat, ro uint32) string {
	switch {
	case incompat&^ext3Incompat != 0 || ro&^uint32(ext3RO) != 0:
		return "ext4"
	case compat&extCompatJournal != 0:
		return "ext3"
	default:
		return "ext2"
	}
}

// extGeometry returns the size in bytes after the checks which the kernel
// would fail on, so that the message says what is wrong.
func extGeometry(b []byte, fstype string, incompat uint32) (int64, error) {
	le := binary.LittleEndian
	logBlock := le.Uint32(b[0x18:])
	if logBlock > extMaxLogBlock {
		return 0, broken(fstype, "damaged: block size 2^%d", uint64(logBlock)+10)
	}
	if le.Uint32(b[0x20:]) == 0 || le.Uint32(b[0x28:]) == 0 {
		return 0, broken(fstype, "damaged: empty block groups")
	}
	blocks := uint64(le.Uint32(b[0x4:]))
	if incompat&extIncompat64Bit != 0 {
		blocks |= uint64(le.Uint32(b[0x150:])) << 32
	}
	if blocks == 0 || blocks > 1<<(62-extMaxLogBlock-10) {
		return 0, broken(fstype, "damaged: %d blocks", blocks)
	}
	return int64(blocks) << (logBlock + 10), nil
}

// extChecksum is the CRC-32C of the superblock up to its last field, without
// the final inversion that Go's package does.
func extChecksum(b []byte) uint32 {
	return ^crc32.Checksum(b[:extOffChecksum], crc32.MakeTable(crc32.Castagnoli))
}

// text is a NUL-padded field as valid UTF-8.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// uuid writes 16 bytes as blkid does; empty where all are zero.
func uuid(b []byte) string {
	if bytes.Equal(b, make([]byte, 16)) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
