// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf16"
)

// exfatVolume is what one needs of an exFAT volume to add a file to its root
// directory ("exFAT file system specification", Microsoft, sections 3 and 7).
type exfatVolume struct {
	f       *os.File
	cluster int64 // bytes
	heap    int64 // where cluster 2 begins
	count   uint32
	root    []byte // the root directory's first cluster
	rootAt  int64
	bitmap  []byte
	bitAt   int64
	end     int // offset of the first unused entry in root
}

// exfatAdd copies the host's file from into the root directory of the exFAT
// image: clusters in one run (NoFatChain), so that only the allocation bitmap
// and the directory change. mkfs.exfat's fresh volumes only.
func exfatAdd(image, name, from string) error {
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	v, err := openExFAT(f)
	if err != nil {
		return fmt.Errorf("add %s to %s: %w", name, image, err)
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	first, err := v.allocate(info.Size())
	if err != nil {
		return fmt.Errorf("add %s to %s: %w", name, image, err)
	}
	if info.Size() > 0 {
		if _, err := io.Copy(io.NewOffsetWriter(f, v.at(first)), in); err != nil {
			return err
		}
	}
	set := exfatEntries(name, first, info.Size())
	if v.end+len(set) > len(v.root) {
		return errors.New("the root directory's first cluster is full")
	}
	copy(v.root[v.end:], set)
	_, err = f.WriteAt(v.root, v.rootAt)
	_, err2 := f.WriteAt(v.bitmap, v.bitAt)
	return errors.Join(err, err2)
}

// at is the offset of a cluster.
func (v *exfatVolume) at(cluster uint32) int64 { return v.heap + int64(cluster-2)*v.cluster }

// openExFAT reads boot sector, root directory and allocation bitmap.
func openExFAT(f *os.File) (*exfatVolume, error) {
	boot := make([]byte, 512)
	if _, err := f.ReadAt(boot, 0); err != nil {
		return nil, err
	}
	if string(boot[3:11]) != "EXFAT   " {
		return nil, errors.New("no exFAT volume")
	}
	sector := int64(1) << boot[108]
	v := &exfatVolume{
		f: f, cluster: sector << boot[109],
		heap:  int64(binary.LittleEndian.Uint32(boot[88:])) * sector,
		count: binary.LittleEndian.Uint32(boot[92:]),
	}
	v.rootAt = v.at(binary.LittleEndian.Uint32(boot[96:]))
	v.root = make([]byte, v.cluster)
	if _, err := f.ReadAt(v.root, v.rootAt); err != nil {
		return nil, err
	}
	for v.end = 0; v.end < len(v.root) && v.root[v.end] != 0; v.end += 32 {
		entry := v.root[v.end : v.end+32]
		if entry[0] == 0x81 {
			v.bitAt = v.at(binary.LittleEndian.Uint32(entry[20:]))
			v.bitmap = make([]byte, binary.LittleEndian.Uint64(entry[24:]))
		}
	}
	if v.bitmap == nil {
		return nil, errors.New("no allocation bitmap")
	}
	_, err := f.ReadAt(v.bitmap, v.bitAt)
	return v, err
}

// allocate marks a run of free clusters for size bytes; 0 for an empty file.
func (v *exfatVolume) allocate(size int64) (uint32, error) {
	need := uint32((size + v.cluster - 1) / v.cluster)
	if need == 0 {
		return 0, nil
	}
	var run uint32
	for i := range v.count {
		if v.bitmap[i/8]&(1<<(i%8)) != 0 {
			run = 0
			continue
		}
		if run++; run == need {
			first := i + 1 - need
			for j := first; j <= i; j++ {
				v.bitmap[j/8] |= 1 << (j % 8)
			}
			return first + 2, nil
		}
	}
	return 0, errors.New("no room")
}

// exfatEntries is the directory entry set of a file: file, stream, names.
func exfatEntries(name string, first uint32, size int64) []byte {
	units := utf16.Encode([]rune(name))
	names := (len(units) + 14) / 15
	set := make([]byte, 32*(2+names))
	set[0], set[1] = 0x85, byte(1+names)
	set[4] = 0x20 // archive
	const date = 45<<25 | 1<<21 | 1<<16
	for _, at := range []int{8, 12, 16} {
		binary.LittleEndian.PutUint32(set[at:], date)
	}
	stream := set[32:]
	stream[0], stream[1], stream[3] = 0xc0, 0x01, byte(len(units))
	if first != 0 {
		stream[1] = 0x03 // allocation possible, no FAT chain
	}
	binary.LittleEndian.PutUint16(stream[4:], exfatHash(units))
	binary.LittleEndian.PutUint64(stream[8:], uint64(size))
	binary.LittleEndian.PutUint32(stream[20:], first)
	binary.LittleEndian.PutUint64(stream[24:], uint64(size))
	for i := range names {
		entry := set[32*(2+i):]
		entry[0] = 0xc1
		for j := 0; j < 15 && 15*i+j < len(units); j++ {
			binary.LittleEndian.PutUint16(entry[2+2*j:], units[15*i+j])
		}
	}
	var sum uint16
	for i, b := range set {
		if i != 2 && i != 3 {
			sum = sum<<15 | sum>>1
			sum += uint16(b)
		}
	}
	binary.LittleEndian.PutUint16(set[2:], sum)
	return set
}

// exfatHash is the name's hash in upper case; ASCII is enough here.
func exfatHash(units []uint16) uint16 {
	var sum uint16
	for _, u := range units {
		if u >= 'a' && u <= 'z' {
			u -= 'a' - 'A'
		}
		for _, b := range []byte{byte(u), byte(u >> 8)} {
			sum = sum<<15 | sum>>1
			sum += uint16(b)
		}
	}
	return sum
}
