// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
)

// patchGPTName gives partition number (from 1) of the primary GPT a name, in
// UTF-16, that no tool would write, and makes the table's checksums right again (UEFI
// specification, section 5.3).
func patchGPTName(image string, number int, name []uint16) error {
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	header := make([]byte, 512)
	if _, err := f.ReadAt(header, 512); err != nil {
		return err
	}
	if string(header[:8]) != "EFI PART" {
		return fmt.Errorf("%s has no GPT", image)
	}
	count := binary.LittleEndian.Uint32(header[80:])
	size := binary.LittleEndian.Uint32(header[84:])
	entries := make([]byte, int(count*size))
	at := int64(binary.LittleEndian.Uint64(header[72:])) * 512
	if _, err := f.ReadAt(entries, at); err != nil {
		return err
	}
	field := entries[(number-1)*int(size)+56 : (number-1)*int(size)+128]
	clear(field)
	for i, unit := range name {
		if 2*i >= len(field) {
			break
		}
		binary.LittleEndian.PutUint16(field[2*i:], unit)
	}
	binary.LittleEndian.PutUint32(header[88:], crc32.ChecksumIEEE(entries))
	headerSize := binary.LittleEndian.Uint32(header[12:])
	binary.LittleEndian.PutUint32(header[16:], 0)
	binary.LittleEndian.PutUint32(header[16:], crc32.ChecksumIEEE(header[:headerSize]))
	_, err = f.WriteAt(entries, at)
	_, err2 := f.WriteAt(header, 512)
	return errors.Join(err, err2)
}
