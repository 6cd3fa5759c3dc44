// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

const (
	fatMaxFAT12 = 0xff4     // clusters, as the kernel counts (fs/fat/fat.h)
	fatMaxFAT16 = 0xfff4    // clusters
	fatMaxFAT32 = 0xffffff6 // clusters

	fatEntry     = 32 // bytes of a directory entry
	fatAttrLabel = 0x08
	fatAttrDir   = 0x10
	fatNoName    = "NO NAME    "

	fatDirty = 1 // bit 0 of the state byte: not unmounted
)

// fat is the geometry in a FAT boot sector (Microsoft's FAT specification 1.03).
type fat struct {
	sector, cluster           int64 // bytes
	reserved, length, rootDir int64 // sectors; length: of all FATs; rootDir: 0 on FAT32
	sectors, clusters         int64
	rootCluster               uint32 // FAT32
	bits                      int    // 12, 16, 32
}

func probeFAT(p *prober) (Superblock, error) {
	b, err := p.first(0, 512)
	if err != nil {
		return Superblock{}, err
	}
	strong, ok := fatMagic(b)
	if !ok {
		return Superblock{}, errAbsent
	}
	f, err := fatGeometry(b)
	if err != nil {
		if strong {
			return Superblock{}, broken("vfat", "damaged: %v", err)
		}
		return Superblock{}, errAbsent
	}
	s := Superblock{Type: "vfat", Version: fmt.Sprintf("FAT%d", f.bits), Size: f.sectors * f.sector}
	ext := b[0x24:] // the extended part: drive, state, signature, serial, label, type
	if f.bits == 32 {
		ext = b[0x40:]
	}
	s.NeedsRecovery = ext[1]&fatDirty != 0
	var boot string
	if ext[2] == 0x29 || ext[2] == 0x28 {
		s.UUID = serial(ext[3:7])
	}
	if ext[2] == 0x29 && string(ext[7:18]) != fatNoName {
		boot = fatText(ext[7:18])
	}
	if s.Label, err = f.label(p); err != nil {
		return Superblock{}, err
	}
	if s.Label == "" {
		s.Label = boot
	}
	return s, nil
}

// fatMagic reports whether b may be a FAT boot sector and whether it says so
// by a type string. Without one, it must have a jump instruction and the boot
// signature, and pass fatGeometry, which an MBR's boot code does not.
func fatMagic(b []byte) (strong, ok bool) {
	if string(b[3:11]) == "NTFS    " || string(b[3:11]) == "EXFAT   " {
		return false, false
	}
	kind16, kind32 := string(b[0x36:0x3e]), string(b[0x52:0x5a])
	for _, magic := range []string{"MSDOS", "FAT12   ", "FAT16   ", "FAT32   ", "FAT     "} {
		if strings.HasPrefix(kind16, magic) || strings.HasPrefix(kind32, magic) {
			return true, true
		}
	}
	if kind16 == "JFS     " || kind16 == "HPFS    " { // FAT-like headers of others (libblkid)
		return false, false
	}
	jump := b[0] == 0xe9 || b[0] == 0xeb && b[2] == 0x90
	return false, jump && b[510] == 0x55 && b[511] == 0xaa
}

// fatGeometry makes the checks of the kernel and of libblkid.
func fatGeometry(b []byte) (fat, error) {
	le := binary.LittleEndian
	sector, perCluster := int64(le.Uint16(b[0x0b:])), int64(b[0x0d])
	f := fat{sector: sector, cluster: sector * perCluster, reserved: int64(le.Uint16(b[0x0e:]))}
	fats, media := int64(b[0x10]), b[0x15]
	switch {
	case sector < 512 || sector > 4096 || bits.OnesCount64(uint64(sector)) != 1:
		return f, fmt.Errorf("sector size %d", sector)
	case bits.OnesCount64(uint64(perCluster)) != 1:
		return f, fmt.Errorf("%d sectors per cluster", perCluster)
	case f.reserved == 0:
		return f, errors.New("no reserved sectors")
	case fats == 0:
		return f, errors.New("no allocation table")
	case media != 0xf0 && media < 0xf8:
		return f, fmt.Errorf("media byte %#02x", media)
	}
	f.rootDir = (int64(le.Uint16(b[0x11:]))*fatEntry + sector - 1) / sector
	f.sectors = int64(le.Uint16(b[0x13:]))
	if f.sectors == 0 {
		f.sectors = int64(le.Uint32(b[0x20:]))
	}
	length := int64(le.Uint16(b[0x16:]))
	if length == 0 {
		length, f.bits, f.rootCluster = int64(le.Uint32(b[0x24:])), 32, le.Uint32(b[0x2c:])
	}
	if length == 0 {
		return f, errors.New("an empty allocation table")
	}
	f.length = length * fats
	f.clusters = (f.sectors - f.reserved - f.length - f.rootDir) / perCluster
	return f, f.count()
}

// count tells FAT12 from FAT16 and checks the number of clusters.
func (f *fat) count() error {
	most := int64(fatMaxFAT16)
	switch {
	case f.bits == 32:
		most = fatMaxFAT32
	case f.clusters <= fatMaxFAT12:
		f.bits = 12
	default:
		f.bits = 16
	}
	if f.clusters < 1 || f.clusters > most {
		return fmt.Errorf("%d clusters on FAT%d", f.clusters, f.bits)
	}
	return nil
}

// label searches the root directory for the volume label; "" where there is
// none within MaxRootDirectory bytes.
func (f *fat) label(p *prober) (string, error) {
	if f.bits != 32 {
		n := min(f.rootDir*f.sector, MaxRootDirectory)
		b, err := p.inside("vfat", "root directory", (f.reserved+f.length)*f.sector, int(n))
		if err != nil {
			return "", err
		}
		label, _ := fatLabel(b)
		return label, nil
	}
	heap, cluster := (f.reserved+f.length)*f.sector, f.rootCluster
	for searched := int64(0); searched < MaxRootDirectory; searched += f.cluster {
		if cluster < 2 || int64(cluster)-2 >= f.clusters {
			break // the end of the chain, or damage that the driver judges
		}
		n := min(f.cluster, MaxRootDirectory-searched)
		b, err := p.inside("vfat", "root directory", heap+(int64(cluster)-2)*f.cluster, int(n))
		if err != nil {
			return "", err
		}
		if label, end := fatLabel(b); end {
			return label, nil
		}
		next, err := p.inside("vfat", "allocation table", f.reserved*f.sector+4*int64(cluster), 4)
		if err != nil {
			return "", err
		}
		cluster = binary.LittleEndian.Uint32(next) & 0x0fffffff
	}
	return "", nil
}

// fatLabel looks for the label in directory entries; end is true where it was
// found or the directory ends here.
func fatLabel(b []byte) (label string, end bool) {
	for ; len(b) >= fatEntry; b = b[fatEntry:] {
		switch {
		case b[0] == 0:
			return "", true
		case b[0] == 0xe5: // deleted
		case b[11]&0x3f == 0x0f: // part of a long name
		case b[11]&(fatAttrLabel|fatAttrDir) == fatAttrLabel:
			name := append([]byte(nil), b[:11]...)
			if name[0] == 0x05 {
				name[0] = 0xe5
			}
			if string(name) == fatNoName {
				return "", true
			}
			return fatText(name), true
		}
	}
	return "", false
}

// cp437 is the upper half of code page 437, in which most labels outside
// ASCII were written (850 has the same letters in the same places).
const cp437 = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0"

var cp437Runes = []rune(cp437)

// fatText decodes a space-padded name of the OEM code page.
func fatText(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		if c < 0x80 {
			s.WriteByte(c)
			continue
		}
		s.WriteRune(cp437Runes[c-0x80])
	}
	return strings.TrimRight(s.String(), " \x00")
}

// serial is a volume serial number as blkid writes it.
func serial(b []byte) string {
	return fmt.Sprintf("%02X%02X-%02X%02X", b[3], b[2], b[1], b[0])
}
