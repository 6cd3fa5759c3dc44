// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"bytes"
	"errors"
)

// foreignMagics are other things that may lie on a device. They are named in
// the message, and one beside a supported file system makes the device
// ambiguous, as it does for blkid: which of the two is meant, nobody knows.
var foreignMagics = []struct {
	name   string
	offset int64
	magic  string
}{
	{"btrfs", 0x10040, "_BHRfS_M"},
	{"xfs", 0, "XFSB"},
	{"squashfs", 0, "hsqs"},
	{"crypto_LUKS", 0, "LUKS\xba\xbe"},
	{"LVM2_member", 0x218, "LVM2 001"},
	{"swap", 4086, "SWAPSPACE2"},
	{"f2fs", 1024, "\x10\x20\xf5\xf2"},
	{"erofs", 1024, "\xe2\xe1\xf5\xe0"},
	{"iso9660", 0x8001, "CD001"},
	{"udf", 0x8001, "BEA01"},
	{"hfsplus", 1024, "H+\x00\x04"},
	{"hfsplus", 1024, "HX\x00\x05"},
	{"apfs", 32, "NXSB"},
	{"BitLocker", 3, "-FVE-FS-"},
}

// foreign names what else is on the device.
func (p *prober) foreign() ([]string, error) {
	var names []string
	for _, f := range foreignMagics {
		b, err := p.first(f.offset, len(f.magic))
		if errors.Is(err, errAbsent) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if string(b) == f.magic {
			names = append(names, f.name)
		}
	}
	return names, nil
}

// partitionTable reports whether the device begins with a GPT (for sectors of
// 512 or 4096 bytes) or an MBR whose four entries are plausible.
func (p *prober) partitionTable() (bool, error) {
	for _, off := range []int64{512, 4096} {
		b, err := p.first(off, 8)
		if err == nil && string(b) == "EFI PART" {
			return true, nil
		}
		if err != nil && !errors.Is(err, errAbsent) {
			return false, err
		}
	}
	b, err := p.first(0, 512)
	if errors.Is(err, errAbsent) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return mbr(b), nil
}

// mbr: the signature, and no entry whose boot flag is anything but 0 or 0x80.
// A table without any entry counts: somebody partitioned the disk.
func mbr(b []byte) bool {
	if !bytes.Equal(b[510:512], []byte{0x55, 0xaa}) {
		return false
	}
	for entry := range 4 {
		if flag := b[446+16*entry]; flag != 0 && flag != 0x80 {
			return false
		}
	}
	return true
}
