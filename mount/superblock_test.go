// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/test/need"
)

var update = flag.Bool("update", false, "write testdata/probe anew from images made by mkfs")

// images are made by mkfs, live and, as excerpts of what Probe reads, in
// testdata/probe.
var images = []struct {
	name    string
	size    int64
	command []string
	change  []string // a second command, with the image as its last argument
	want    Superblock
}{
	{"ext2", 1 << 20, []string{"mkfs.ext2", "-q", "-L", "TWO", "-U", "12345678-1234-1234-1234-123456789abc"}, nil,
		Superblock{Type: "ext2", Version: "1.0", Label: "TWO", UUID: "12345678-1234-1234-1234-123456789abc", Size: 1 << 20}},
	{"ext3", 8 << 20, []string{"mkfs.ext3", "-q", "-L", "Größe", "-U", "12345678-1234-1234-1234-123456789abc"}, nil,
		Superblock{Type: "ext3", Version: "1.0", Label: "Größe", UUID: "12345678-1234-1234-1234-123456789abc", Size: 8 << 20}},
	{"ext4", 8 << 20, []string{"mkfs.ext4", "-q", "-L", "$(reboot)", "-U", "12345678-1234-1234-1234-123456789abc"}, nil,
		Superblock{Type: "ext4", Version: "1.0", Label: "$(reboot)", UUID: "12345678-1234-1234-1234-123456789abc", Size: 8 << 20}},
	{"ext4-nojournal", 1 << 20, []string{"mkfs.ext4", "-q", "-O", "^has_journal", "-U", "12345678-1234-1234-1234-123456789abc"}, nil,
		Superblock{Type: "ext4", Version: "1.0", UUID: "12345678-1234-1234-1234-123456789abc", Size: 1 << 20}},
	{"ext4-panic", 8 << 20, []string{"mkfs.ext4", "-q", "-e", "panic", "-U", "12345678-1234-1234-1234-123456789abc"}, nil,
		Superblock{Type: "ext4", Version: "1.0", UUID: "12345678-1234-1234-1234-123456789abc", Size: 8 << 20, ErrorsPanic: true}},
	{"ext4-options", 8 << 20, []string{"mkfs.ext4", "-q", "-U", "12345678-1234-1234-1234-123456789abc"}, []string{"tune2fs", "-E", "mount_opts=debug"},
		Superblock{Type: "ext4", Version: "1.0", UUID: "12345678-1234-1234-1234-123456789abc", Size: 8 << 20, MountOptions: "debug"}},
	{"ext4-dirty", 8 << 20, []string{"mkfs.ext4", "-q", "-U", "12345678-1234-1234-1234-123456789abc"}, []string{"debugfs", "-w", "-R", "feature needs_recovery"},
		Superblock{Type: "ext4", Version: "1.0", UUID: "12345678-1234-1234-1234-123456789abc", Size: 8 << 20, NeedsRecovery: true}},
	{"fat12", 1440 << 10, []string{"mkfs.vfat", "-F", "12", "-n", "FLOPPY", "-i", "1234abcd"}, nil,
		Superblock{Type: "vfat", Version: "FAT12", Label: "FLOPPY", UUID: "1234-ABCD", Size: 1440 << 10}},
	{"fat16", 16 << 20, []string{"mkfs.vfat", "-F", "16", "-n", "A B", "-i", "1234abcd"}, nil,
		Superblock{Type: "vfat", Version: "FAT16", Label: "A B", UUID: "1234-ABCD", Size: 16 << 20}},
	{"fat32", 40 << 20, []string{"mkfs.vfat", "-F", "32", "-n", "STICK", "-i", "1234abcd"}, nil,
		Superblock{Type: "vfat", Version: "FAT32", Label: "STICK", UUID: "1234-ABCD", Size: 40 << 20}},
	{"fat32-unnamed", 40 << 20, []string{"mkfs.vfat", "-F", "32", "-i", "1234abcd"}, nil,
		Superblock{Type: "vfat", Version: "FAT32", UUID: "1234-ABCD", Size: 40 << 20}},
	{"fat32-4k", 300 << 20, []string{"mkfs.vfat", "-F", "32", "-S", "4096", "-n", "BIG", "-i", "1234abcd"}, nil,
		Superblock{Type: "vfat", Version: "FAT32", Label: "BIG", UUID: "1234-ABCD", Size: 300 << 20}},
	{"exfat", 8 << 20, []string{"mkfs.exfat", "-L", "Schlüssel"}, []string{"tune.exfat", "-I", "0x1234abcd"},
		Superblock{Type: "exfat", Version: "1.0", Label: "Schlüssel", UUID: "1234-ABCD", Size: 8 << 20}},
	{"exfat-unnamed", 8 << 20, []string{"mkfs.exfat"}, []string{"tune.exfat", "-I", "0x1234abcd"},
		Superblock{Type: "exfat", Version: "1.0", UUID: "1234-ABCD", Size: 8 << 20}},
	{"ntfs", 4 << 20, []string{"mkntfs", "-q", "-F", "-f", "-L", "Ключ 🔑"}, []string{"ntfslabel", "--new-serial=1234567812345678", "-f"},
		Superblock{Type: "ntfs", Version: "3.1", Label: "Ключ 🔑", UUID: "1234567812345678", Size: 4<<20 - 512}},
	{"ntfs-unnamed", 4 << 20, []string{"mkntfs", "-q", "-F", "-f"}, []string{"ntfslabel", "--new-serial=1234567812345678", "-f"},
		Superblock{Type: "ntfs", Version: "3.1", UUID: "1234567812345678", Size: 4<<20 - 512}},
}

// TestProbeLive compares Probe with what mkfs was told, and with blkid.
func TestProbeLive(t *testing.T) {
	blkid := need.Tool(t, "blkid")
	for _, i := range images {
		t.Run(i.name, func(t *testing.T) {
			image := mkfs(t, i.size, i.command...)
			if i.change != nil {
				run(t, need.Tool(t, i.change[0]), append(i.change[1:], image)...)
			}
			r := &recorder{data: readAll(t, image)}
			s, err := Probe(r, i.size)
			if err != nil {
				t.Fatal(err)
			}
			if s != i.want {
				t.Errorf("got  %+v\nwant %+v", s, i.want)
			}
			if *update {
				write(t, filepath.Join("testdata/probe", i.name), r.sparse(i.size))
			}
			compare(t, s, blkid, image)
		})
	}
}

// compare holds s against blkid's answer.
func compare(t *testing.T, s Superblock, blkid, image string) {
	t.Helper()
	says := func(tag string) string {
		out, _ := exec.Command(blkid, "-p", "-o", "value", "-s", tag, image).Output() // status 2 where there is no such tag
		return strings.TrimSuffix(string(out), "\n")
	}
	if says("TYPE") != s.Type || says("LABEL") != s.Label || says("UUID") != s.UUID || s.Type != "ntfs" && says("VERSION") != s.Version {
		t.Errorf("blkid says otherwise: %q %q %q %q", says("TYPE"), says("LABEL"), says("UUID"), says("VERSION"))
	}
}

// TestProbeCaptured is TestProbeLive without the tools.
func TestProbeCaptured(t *testing.T) {
	for _, i := range images {
		r, size := parseSparse(readAll(t, filepath.Join("testdata/probe", i.name)))
		if s, err := Probe(r, size); err != nil || s != i.want {
			t.Errorf("%s: got  %+v %v\nwant %+v", i.name, s, err, i.want)
		}
	}
}

// TestProbeCutShort: an image that ends early is an error, at any length.
func TestProbeCutShort(t *testing.T) {
	for _, i := range images {
		r, size := parseSparse(readAll(t, filepath.Join("testdata/probe", i.name)))
		for _, n := range []int64{0, 1, 511, 512, 1024, 2047, 2048, 4096, 65536, size / 2, i.want.Size - 1} {
			if n >= i.want.Size {
				continue
			}
			s, err := Probe(r, n)
			if err == nil && s.FoldCase() && n >= 65536 {
				continue // what Probe needs is there, and the drivers do not mind
			}
			var pe *ProbeError
			if !errors.As(err, &pe) && !errors.Is(err, ErrNone) && !errors.Is(err, ErrPartitionTable) {
				t.Errorf("%s cut to %d bytes: %+v %v", i.name, n, s, err)
			}
			if n >= 4096 && !i.want.FoldCase() && (pe == nil || !strings.Contains(pe.Message, "cut short")) {
				t.Errorf("%s cut to %d bytes: %v", i.name, n, err)
			}
		}
	}
}

// patched is a captured image with bytes changed.
func patched(t *testing.T, name string, patches map[int64]string) (*sparse, int64) {
	t.Helper()
	r, size := parseSparse(readAll(t, filepath.Join("testdata/probe", name)))
	for off, b := range patches {
		r.extents = append(r.extents, extent{off, []byte(b)})
	}
	return r, size
}

func TestProbeRefused(t *testing.T) {
	for _, c := range []struct {
		name, image string
		patches     map[int64]string
		want        string
	}{
		{"two file systems", "fat32", map[int64]string{1024: string(extSuper(t, "ext2"))}, "ambiguous: signatures of ext2 and vfat on one device"},
		{"ext over swap", "ext2", map[int64]string{4086: "SWAPSPACE2"}, "ambiguous: signatures of ext2 and swap"},
		{"ext and btrfs", "ext4", map[int64]string{0x10040: "_BHRfS_M"}, "ambiguous: signatures of ext4 and btrfs"},
		{"btrfs", "zero", map[int64]string{0x10040: "_BHRfS_M"}, "btrfs: this kind of file system is not supported"},
		{"LUKS", "zero", map[int64]string{0: "LUKS\xba\xbe"}, "crypto_LUKS: this kind"},
		{"ISO", "zero", map[int64]string{0x8001: "CD001"}, "iso9660: this kind"},
		{"external journal device", "ext4-nojournal", map[int64]string{1024 + 0x60: "\x08\x00\x00\x00"}, "jbd: an external journal"},
		{"ext checksum", "ext4", map[int64]string{1024 + 0x78: "EVIL"}, "ext4: damaged: the superblock's checksum"},
		{"ext block size", "ext2", map[int64]string{1024 + 0x18: "\xff\xff\xff\xff"}, "ext2: damaged: block size 2^4294967305"},
		{"ext groups", "ext2", map[int64]string{1024 + 0x28: "\x00\x00\x00\x00"}, "ext2: damaged: empty block groups"},
		{"ext blocks", "ext2", map[int64]string{1024 + 0x04: "\x00\x00\x00\x00"}, "ext2: damaged: 0 blocks"},
		{"ext larger", "ext2", map[int64]string{1024 + 0x04: "\xff\xff\xff\xff"}, "ext2: cut short"},
		{"FAT sector size", "fat16", map[int64]string{0x0b: "\x00\x01"}, "vfat: damaged: sector size 256"},
		{"FAT cluster size", "fat16", map[int64]string{0x0d: "\x03"}, "vfat: damaged: 3 sectors per cluster"},
		{"FAT reserved", "fat16", map[int64]string{0x0e: "\x00\x00"}, "vfat: damaged: no reserved sectors"},
		{"FAT tables", "fat16", map[int64]string{0x10: "\x00"}, "vfat: damaged: no allocation table"},
		{"FAT media", "fat16", map[int64]string{0x15: "\x01"}, "vfat: damaged: media byte 0x01"},
		{"FAT length", "fat16", map[int64]string{0x16: "\x00\x00", 0x24: "\x00\x00\x00\x00"}, "vfat: damaged: an empty allocation table"},
		{"FAT clusters", "fat16", map[int64]string{0x13: "\x10\x00"}, "vfat: damaged: "},
		{"exFAT boot sector", "exfat", map[int64]string{510: "\x00\x00"}, "exfat: damaged: not a boot sector"},
		{"exFAT checksum", "exfat", map[int64]string{100: "EVIL"}, "exfat: damaged: the boot region's checksum"},
		{"exFAT root", "exfat", map[int64]string{96: "\xff\xff\xff\xff"}, "exfat: damaged: root directory in cluster"},
		{"exFAT shifts", "exfat", map[int64]string{108: "\x09\xff"}, "exfat: damaged: sector size"},
		{"exFAT clusters", "exfat", map[int64]string{92: "\xff\xff\xff\xff"}, "exfat: damaged: 4294967295 clusters do not fit"},
		{"NTFS sector size", "ntfs", map[int64]string{0x0b: "\x01\x00"}, "ntfs: damaged: sector size 1"},
		{"NTFS MFT", "ntfs", map[int64]string{0x30: "\xff\xff\xff\xff\xff\xff\xff\xff"}, "ntfs: damaged: MFT in cluster"},
		{"NTFS MFT elsewhere", "ntfs", map[int64]string{0x30: "\x01"}, "ntfs: damaged: MFT record 0 has no magic"},
		{"NTFS record size", "ntfs", map[int64]string{0x40: "\xe0"}, "ntfs: damaged: MFT record size 0xe0"},
	} {
		r, size := patched(t, c.image, c.patches)
		s, err := Probe(r, size)
		var pe *ProbeError
		if !errors.As(err, &pe) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %+v, %v; want %s", c.name, s, err, c.want)
		}
	}
}

// extSuper is a captured ext superblock.
func extSuper(t *testing.T, name string) []byte {
	r, _ := parseSparse(readAll(t, filepath.Join("testdata/probe", name)))
	b := make([]byte, extSize)
	r.ReadAt(b, extOffset)
	return b
}

func TestProbeNoFileSystem(t *testing.T) {
	const entry = "\x80\x01\x01\x00\x0c\xfe\xff\xff\x00\x08\x00\x00\x00\x00\x10\x00"
	bootable := strings.Repeat("\xfa\x33\xc0\x8e", 100) // boot code, as in an MBR
	for _, c := range []struct {
		name    string
		patches map[int64]string
		want    error
	}{
		{"nothing", nil, ErrNone},
		{"MBR", map[int64]string{446: entry, 510: "\x55\xaa"}, ErrPartitionTable},
		{"MBR with boot code", map[int64]string{0: bootable, 446: entry, 510: "\x55\xaa"}, ErrPartitionTable},
		{"MBR that begins like a FAT boot sector", map[int64]string{0: "\xeb\x3c\x90SYSLINUX", 446: entry, 510: "\x55\xaa"}, ErrPartitionTable},
		{"empty MBR", map[int64]string{510: "\x55\xaa"}, ErrPartitionTable},
		{"GPT", map[int64]string{446: entry, 510: "\x55\xaa", 512: "EFI PART"}, ErrPartitionTable},
		{"GPT, 4 KiB sectors", map[int64]string{4096: "EFI PART"}, ErrPartitionTable},
		{"boot flags that are none", map[int64]string{446: "\x42", 510: "\x55\xaa"}, ErrNone},
	} {
		r, size := patched(t, "zero", c.patches)
		if s, err := Probe(r, size); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v; want %v", c.name, s, err, c.want)
		}
	}
}

// A FAT without partition table whose boot code looks like a table's entries
// is a FAT.
func TestProbeSuperfloppy(t *testing.T) {
	r, size := patched(t, "fat32", map[int64]string{446: "\x80\x01\x01\x00\x0c\xfe\xff\xff\x00\x08\x00\x00\x00\x00\x10\x00"})
	if s, err := Probe(r, size); err != nil || s.Type != "vfat" {
		t.Errorf("got %+v, %v", s, err)
	}
}

// The label of a FAT: the root directory's before the boot sector's.
func TestProbeFATLabel(t *testing.T) {
	const boot = 0x40 + 7 // FAT32
	reserved := int64(32 * 512)
	for _, c := range []struct {
		name    string
		patches map[int64]string
		want    string
	}{
		{"both", map[int64]string{boot: "BOOTSECTOR "}, "STICK"},
		{"boot sector alone", map[int64]string{boot: "BOOTSECTOR ", rootDirectory(t): "\xe5"}, "BOOTSECTOR"},
		{"neither", map[int64]string{boot: "NO NAME    ", rootDirectory(t): "\xe5"}, ""},
		{"code page", map[int64]string{rootDirectory(t): "M\x9aLL       "}, "MÜLL"},
		{"first byte 0xe5", map[int64]string{rootDirectory(t): "\x05          "}, "σ"},
		{"chain that loops", map[int64]string{boot: "BOOTSECTOR ", rootDirectory(t): strings.Repeat("FILE       \x20"+strings.Repeat("\x00", 20), 16), reserved + 8: "\x02\x00\x00\x00"}, "BOOTSECTOR"},
	} {
		r, size := patched(t, "fat32", c.patches)
		if s, err := Probe(r, size); err != nil || s.Label != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.name, s.Label, err, c.want)
		}
	}
}

// rootDirectory is where the root directory of the image fat32 begins.
func rootDirectory(t *testing.T) int64 {
	t.Helper()
	r, size := parseSparse(readAll(t, "testdata/probe/fat32"))
	b := make([]byte, 512)
	r.ReadAt(b, 0)
	f, err := fatGeometry(b)
	if err != nil || size == 0 {
		t.Fatal(err)
	}
	return (f.reserved + f.length) * f.sector
}

// TestProbeReadError: what the device itself fails on is no broken file system.
func TestProbeReadError(t *testing.T) {
	gone := errors.New("the device is gone")
	for _, i := range images {
		r, size := parseSparse(readAll(t, filepath.Join("testdata/probe", i.name)))
		for fail := 1; ; fail++ {
			f := &failing{sparse: r, after: fail, err: gone}
			_, err := Probe(f, size)
			if f.after > 0 {
				break // read less often than that
			}
			var pe *ProbeError
			if !errors.Is(err, gone) || errors.As(err, &pe) {
				t.Fatalf("%s, read %d: %v", i.name, fail, err)
			}
		}
	}
}

type failing struct {
	*sparse
	after int
	err   error
}

func (f *failing) ReadAt(b []byte, off int64) (int, error) {
	if f.after--; f.after <= 0 {
		return 0, f.err
	}
	return f.sparse.ReadAt(b, off)
}

// TestMaxProbeBytes: the budget holds for each kind, whatever is in it.
func TestMaxProbeBytes(t *testing.T) {
	p := &prober{r: bytes.NewReader(make([]byte, 4<<20)), size: 4 << 20}
	if _, err := p.at(0, MaxProbeBytes); err != nil {
		t.Errorf("as much as is allowed: %v", err)
	}
	if _, err := p.at(0, 1); !errors.Is(err, errBudget) {
		t.Errorf("one byte more: %v", err)
	}
}

// TestMaxRootDirectory: a label further behind is not looked for.
func TestMaxRootDirectory(t *testing.T) {
	root := rootDirectory(t)
	file := "FILE       \x20" + strings.Repeat("\x00", 20)
	for _, c := range []struct {
		entries int
		want    string
	}{{MaxRootDirectory/fatEntry - 1, "LATE"}, {MaxRootDirectory / fatEntry, ""}} {
		patches := map[int64]string{root: strings.Repeat(file, c.entries) + "LATE       \x08" + strings.Repeat("\x00", 20), 0x40 + 7: fatNoName}
		// one chain of clusters, one after the other
		var chain bytes.Buffer
		for cluster := 3; cluster < 2000; cluster++ {
			chain.Write([]byte{byte(cluster), byte(cluster >> 8), 0, 0})
		}
		patches[32*512+8] = chain.String()
		r, size := patched(t, "fat32", patches)
		if s, err := Probe(r, size); err != nil || s.Label != c.want {
			t.Errorf("after %d entries: %q, %v; want %q", c.entries, s.Label, err, c.want)
		}
	}
}

func readAll(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
