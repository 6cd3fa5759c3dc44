// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// The exFAT boot region and directory entries (Microsoft's exFAT
// specification, sections 3 and 7).
const (
	exfatBootSectors = 11   // sectors that the checksum in the next one covers
	exfatLabelEntry  = 0x83 // volume label, in use
	exfatMaxLabel    = 11   // UTF-16 units
	exfatDirty       = 2    // VolumeFlags: VolumeDirty
)

func probeExFAT(p *prober) (Superblock, error) {
	b, err := p.first(0, 512)
	if err != nil {
		return Superblock{}, err
	}
	if string(b[3:11]) != "EXFAT   " {
		return Superblock{}, errAbsent
	}
	if !bytes.Equal(b[11:64], make([]byte, 53)) || b[510] != 0x55 || b[511] != 0xaa {
		return Superblock{}, broken("exfat", "damaged: not a boot sector")
	}
	x, err := exfatGeometry(b)
	if err != nil {
		return Superblock{}, broken("exfat", "damaged: %v", err)
	}
	if err := x.checksum(p); err != nil {
		return Superblock{}, err
	}
	label, err := x.label(p)
	if err != nil {
		return Superblock{}, err
	}
	return Superblock{
		Type: "exfat", Version: fmt.Sprintf("%d.%d", b[105], b[104]), Label: label,
		UUID: serial(b[100:104]), Size: x.size, NeedsRecovery: b[106]&exfatDirty != 0,
	}, nil
}

// exfat is the geometry in an exFAT boot sector, in bytes.
type exfat struct {
	size, sector, cluster, fat, heap int64
	clusters, root                   uint32
}

func exfatGeometry(b []byte) (exfat, error) {
	le := binary.LittleEndian
	sectorShift, clusterShift := b[108], b[109]
	if sectorShift < 9 || sectorShift > 12 || clusterShift > 25-sectorShift {
		return exfat{}, fmt.Errorf("sector size 2^%d, cluster 2^%d sectors", sectorShift, clusterShift)
	}
	sectors := le.Uint64(b[72:])
	if sectors == 0 || sectors > 1<<50 {
		return exfat{}, fmt.Errorf("%d sectors", sectors)
	}
	x := exfat{
		size: int64(sectors) << sectorShift, sector: 1 << sectorShift, cluster: 1 << (sectorShift + clusterShift),
		fat: int64(le.Uint32(b[80:])) << sectorShift, heap: int64(le.Uint32(b[88:])) << sectorShift,
		clusters: le.Uint32(b[92:]), root: le.Uint32(b[96:]),
	}
	if x.heap+int64(x.clusters)*x.cluster > x.size || x.fat < 24*x.sector || x.fat+4*int64(x.clusters) > x.heap {
		return x, fmt.Errorf("%d clusters do not fit", x.clusters)
	}
	if x.root < 2 || x.root-2 >= x.clusters {
		return x, fmt.Errorf("root directory in cluster %d", x.root)
	}
	return x, nil
}

// checksum compares the boot region with the sums in its twelfth sector; the
// kernel refuses what differs.
func (x exfat) checksum(p *prober) error {
	b, err := p.inside("exfat", "boot region", 0, int((exfatBootSectors+1)*x.sector))
	if err != nil {
		return err
	}
	var sum uint32
	for i, c := range b[:exfatBootSectors*x.sector] {
		if i == 106 || i == 107 || i == 112 { // VolumeFlags and PercentInUse change in use
			continue
		}
		sum = sum<<31 | sum>>1
		sum += uint32(c)
	}
	if binary.LittleEndian.Uint32(b[exfatBootSectors*x.sector:]) != sum {
		return broken("exfat", "damaged: the boot region's checksum is wrong")
	}
	return nil
}

// label searches the root directory's clusters for the label entry.
func (x exfat) label(p *prober) (string, error) {
	cluster := x.root
	for searched := int64(0); searched < MaxRootDirectory; searched += x.cluster {
		if cluster < 2 || cluster-2 >= x.clusters {
			break
		}
		n := min(x.cluster, MaxRootDirectory-searched)
		b, err := p.inside("exfat", "root directory", x.heap+int64(cluster-2)*x.cluster, int(n))
		if err != nil {
			return "", err
		}
		for ; len(b) >= fatEntry; b = b[fatEntry:] {
			switch b[0] {
			case 0:
				return "", nil
			case exfatLabelEntry:
				return utf16Text(b[2 : 2+2*min(int(b[1]), exfatMaxLabel)]), nil
			}
		}
		next, err := p.inside("exfat", "allocation table", x.fat+4*int64(cluster), 4)
		if err != nil {
			return "", err
		}
		cluster = binary.LittleEndian.Uint32(next)
	}
	return "", nil
}

// utf16Text decodes little-endian UTF-16 up to its first NUL.
func utf16Text(b []byte) string {
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return strings.ToValidUTF8(string(utf16.Decode(units)), "\uFFFD")
}
