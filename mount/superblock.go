// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// MaxProbeBytes bounds what one Probe reads from the device, in bytes.
	MaxProbeBytes = 1 << 20

	// MaxRootDirectory bounds how far into the root directory of FAT and
	// exFAT the label is searched, in bytes. A label further behind is not
	// found, and the boot sector's is used.
	MaxRootDirectory = 128 << 10

	// MaxLabel bounds a label, in bytes of UTF-8: 128 UTF-16 units of NTFS
	// need at most three bytes each.
	MaxLabel = 3 * 128
)

// Superblock is what a file system says about itself. All of it is data from
// the device: nobody vouches for it.
type Superblock struct {
	Type    string // ext2, ext3, ext4, vfat, exfat or ntfs
	Version string // FAT12, FAT16, FAT32; else the revision, as "1.0"
	Label   string // valid UTF-8 as stored, not made safe for a path or a terminal
	UUID    string // as blkid writes it
	Size    int64  // bytes the file system says it covers; more than the device has where FAT, exFAT or NTFS was cut short, which their drivers do not mind

	NeedsRecovery   bool   // ext3, ext4: the journal has to be replayed; NTFS, FAT, exFAT: marked dirty
	ExternalJournal bool   // ext3, ext4: the journal lies on another device
	ErrorsPanic     bool   // ext: the superblock asks for a kernel panic on errors
	MountOptions    string // ext: options stored in the superblock (tune2fs -E mount_opts)
}

// FoldCase reports whether names on the file system are equal when only their
// case differs.
func (s Superblock) FoldCase() bool { return foldsCase(s.Type) }

func foldsCase(fstype string) bool {
	return fstype == "vfat" || fstype == "exfat" || fstype == "ntfs"
}

var (
	// ErrPartitionTable is returned by Probe where the device holds a
	// partition table (MBR or GPT) and no file system of its own.
	ErrPartitionTable = errors.New("a partition table, no file system")

	// ErrNone is returned by Probe where nothing known was found.
	ErrNone = errors.New("no file system that a board knows: format it as FAT32, exFAT, NTFS or ext4")
)

// ProbeError says why a device that looks like a file system is none that can
// be mounted.
type ProbeError struct {
	Type    string // the file system it resembles; "ambiguous" where it resembles several
	Message string // for a technician: one short clause
}

func (e *ProbeError) Error() string { return e.Type + ": " + e.Message }

func broken(fstype, format string, args ...any) error {
	return &ProbeError{Type: fstype, Message: fmt.Sprintf(format, args...)}
}

// also is err with what went wrong beside it, on one line.
func also(err, more error) error {
	if err == nil {
		return more
	}
	if more == nil {
		return err
	}
	return fmt.Errorf("%w; %w", err, more)
}

// errAbsent is what one kind's probe returns where its magic is missing.
var errAbsent = errors.New("absent")

// Probe finds out which file system lies in the first size bytes of r.
//
// It returns [ErrPartitionTable], [ErrNone], a [*ProbeError] for a file system
// that is damaged, unsupported or one of several on the same device, or the
// wrapped error of a read that went wrong. It reads at most [MaxProbeBytes].
func Probe(r io.ReaderAt, size int64) (Superblock, error) {
	p := &prober{r: r, size: size}
	var found []Superblock
	var damaged error
	for _, kind := range []func(*prober) (Superblock, error){probeExt, probeFAT, probeExFAT, probeNTFS} {
		s, err := kind(p)
		var pe *ProbeError
		switch {
		case err == nil:
			found = append(found, s)
		case errors.Is(err, errAbsent):
		case errors.As(err, &pe):
			if damaged == nil {
				damaged = err
			}
		default:
			return Superblock{}, fmt.Errorf("probe: %w", err)
		}
	}
	foreign, err := p.foreign()
	if err != nil {
		return Superblock{}, fmt.Errorf("probe: %w", err)
	}
	return p.verdict(found, foreign, damaged)
}

// verdict chooses the one file system, or says why there is none.
func (p *prober) verdict(found []Superblock, foreign []string, damaged error) (Superblock, error) {
	if len(found) == 1 && len(foreign) == 0 {
		return found[0], nil
	}
	names := make([]string, 0, len(found)+len(foreign))
	for _, s := range found {
		names = append(names, s.Type)
	}
	names = append(names, foreign...)
	switch {
	case len(names) > 1:
		return Superblock{}, broken("ambiguous", "signatures of %s on one device (format it anew, or use wipefs)", strings.Join(names, " and "))
	case damaged != nil:
		return Superblock{}, damaged
	case len(names) == 1:
		return Superblock{}, broken(names[0], "this kind of file system is not supported: format it as FAT32, exFAT, NTFS or ext4")
	}
	table, err := p.partitionTable()
	if err != nil {
		return Superblock{}, fmt.Errorf("probe: %w", err)
	}
	if table {
		return Superblock{}, ErrPartitionTable
	}
	return Superblock{}, ErrNone
}

// prober reads a device within bounds.
type prober struct {
	r    io.ReaderAt
	size int64
	read int64
}

var (
	errBeyond = errors.New("beyond the end of the device")
	errBudget = fmt.Errorf("more than %d bytes needed", MaxProbeBytes)
)

// at returns n bytes at offset off. errBeyond where the device is smaller.
func (p *prober) at(off int64, n int) ([]byte, error) {
	if off < 0 || n < 0 || off > p.size || int64(n) > p.size-off {
		return nil, errBeyond
	}
	if p.read += int64(n); p.read > MaxProbeBytes {
		return nil, errBudget
	}
	b := make([]byte, n)
	if k, err := p.r.ReadAt(b, off); k < n {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, errBeyond
		}
		return nil, err
	}
	return b, nil
}

// first is at for the place of a magic number: a device too small for it does
// not have it.
func (p *prober) first(off int64, n int) ([]byte, error) {
	b, err := p.at(off, n)
	if errors.Is(err, errBeyond) {
		return nil, errAbsent
	}
	return b, err
}

// inside is at for a place that a superblock of fstype names: one that is not
// there means that the file system is damaged or cut short.
func (p *prober) inside(fstype, what string, off int64, n int) ([]byte, error) {
	b, err := p.at(off, n)
	if errors.Is(err, errBeyond) || errors.Is(err, errBudget) {
		return nil, broken(fstype, "damaged: %s at offset %d: %v", what, off, err)
	}
	return b, err
}
