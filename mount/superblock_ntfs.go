// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

const (
	ntfsVolumeRecord = 3    // $Volume, the fourth record of the MFT
	ntfsMaxRecord    = 4096 // bytes of an MFT record; 1024 and 4096 exist
	ntfsMaxCluster   = 2 << 20

	ntfsAttrName        = 0x60 // $VOLUME_NAME
	ntfsAttrInformation = 0x70 // $VOLUME_INFORMATION
	ntfsAttrEnd         = 0xffffffff
	ntfsDirty           = 1
	ntfsMaxLabel        = 128 // UTF-16 units
)

func probeNTFS(p *prober) (Superblock, error) {
	b, err := p.first(0, 512)
	if err != nil {
		return Superblock{}, err
	}
	if string(b[3:11]) != "NTFS    " {
		return Superblock{}, errAbsent
	}
	n, err := ntfsGeometry(b)
	if err != nil {
		return Superblock{}, broken("ntfs", "damaged: %v", err)
	}
	if _, err := n.load(p, 0); err != nil { // the MFT describes itself in its first record
		return Superblock{}, err
	}
	s := Superblock{Type: "ntfs", Size: n.size, UUID: fmt.Sprintf("%016X", binary.LittleEndian.Uint64(b[0x48:]))}
	record, err := n.load(p, ntfsVolumeRecord)
	if err != nil {
		return Superblock{}, err
	}
	ntfsVolume(record, &s)
	return s, nil
}

// ntfs is the geometry in an NTFS boot sector, in bytes.
type ntfs struct{ size, sector, cluster, mft, record int64 }

func ntfsGeometry(b []byte) (ntfs, error) {
	le := binary.LittleEndian
	n := ntfs{sector: int64(le.Uint16(b[0x0b:]))}
	if n.sector < 256 || n.sector > 4096 || bits.OnesCount64(uint64(n.sector)) != 1 {
		return n, fmt.Errorf("sector size %d", n.sector)
	}
	perCluster := int64(b[0x0d])
	if perCluster > 128 && perCluster >= 0xe1 { // the negative of a power of two
		perCluster = 1 << (256 - perCluster)
	}
	n.cluster = perCluster * n.sector
	if bits.OnesCount64(uint64(perCluster)) != 1 || n.cluster > ntfsMaxCluster {
		return n, fmt.Errorf("%d sectors per cluster", perCluster)
	}
	sectors, mft := le.Uint64(b[0x28:]), le.Uint64(b[0x30:])
	if sectors == 0 || sectors > 1<<50 {
		return n, fmt.Errorf("%d sectors", sectors)
	}
	n.size = int64(sectors) * n.sector
	if mft == 0 || mft >= uint64(n.size/n.cluster) {
		return n, fmt.Errorf("MFT in cluster %d", mft)
	}
	n.mft = int64(mft) * n.cluster
	switch perRecord := int8(b[0x40]); {
	case perRecord > 0:
		n.record = int64(perRecord) * n.cluster
	case perRecord <= -9 && perRecord >= -12:
		n.record = 1 << -perRecord
	}
	if n.record < n.sector || n.record > ntfsMaxRecord {
		return n, fmt.Errorf("MFT record size %#02x", b[0x40])
	}
	return n, nil
}

// load reads record i of the MFT and undoes the fixups that protect its
// sectors.
func (n ntfs) load(p *prober, i int64) ([]byte, error) {
	b, err := p.inside("ntfs", "MFT", n.mft+i*n.record, int(n.record))
	if err != nil {
		return nil, err
	}
	if string(b[:4]) != "FILE" {
		return nil, broken("ntfs", "damaged: MFT record %d has no magic", i)
	}
	if err := fixup(b); err != nil {
		return nil, broken("ntfs", "damaged: MFT record %d: %v", i, err)
	}
	return b, nil
}

// fixup puts back the last two bytes of each 512-byte block, which the update
// sequence array holds.
func fixup(b []byte) error {
	le := binary.LittleEndian
	off, count := int(le.Uint16(b[4:])), int(le.Uint16(b[6:]))
	if count != len(b)/512+1 || off+2*count > len(b) {
		return errors.New("update sequence out of range")
	}
	usa := b[off : off+2*count]
	for i := 1; i < count; i++ {
		end := b[i*512-2 : i*512]
		if end[0] != usa[0] || end[1] != usa[1] {
			return errors.New("torn write")
		}
	}
	usa = append([]byte(nil), usa...)
	for i := 1; i < count; i++ {
		copy(b[i*512-2:i*512], usa[2*i:2*i+2])
	}
	return nil
}

// ntfsVolume takes label, version and state from the record of $Volume. What
// is not there, or not resident, stays empty.
func ntfsVolume(b []byte, s *Superblock) {
	le := binary.LittleEndian
	for off := int(le.Uint16(b[0x14:])); off+0x18 <= len(b); {
		kind, length := le.Uint32(b[off:]), int64(le.Uint32(b[off+4:]))
		if kind == ntfsAttrEnd || length < 0x18 || length > int64(len(b)-off) {
			return
		}
		a := b[off : off+int(length)]
		off += int(length)
		size, start := int64(le.Uint32(a[0x10:])), int64(le.Uint16(a[0x14:]))
		if a[8] != 0 || start+size > length { // not resident
			continue
		}
		value := a[start : start+size]
		switch {
		case kind == ntfsAttrName:
			s.Label = utf16Text(value[:min(len(value), 2*ntfsMaxLabel)])
		case kind == ntfsAttrInformation && len(value) >= 12:
			s.Version = fmt.Sprintf("%d.%d", value[8], value[9])
			s.NeedsRecovery = le.Uint16(value[10:])&ntfsDirty != 0
		}
	}
}
