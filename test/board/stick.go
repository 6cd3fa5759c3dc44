// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// File is one file in the root of a stick.
type File struct {
	Name string
	// Data is the content, or Path a host file that holds it.
	Data []byte
	Path string
}

// FileSystem describes a file system to make in a file, filled and unmounted.
type FileSystem struct {
	// Type is ext2, ext3, ext4, fat12, fat16, fat32, exfat or ntfs.
	Type  string
	Label string
	// Size in bytes; 0 is the smallest usual one that the files fit in.
	Size int64
	// Files are owned by uid 1000 with mode 0664 where the file system has
	// owners: what a desktop leaves on a stick.
	Files []File
	// Dirty leaves a transaction in the journal of an ext3 or ext4.
	Dirty bool
	// Options are further arguments of mke2fs, mkfs.vfat, mkntfs, mkfs.exfat.
	Options []string
}

// Part is one partition of a stick.
type Part struct {
	FileSystem
	// Image is a ready file system, in place of FileSystem.
	Image string
	// Name is the GPT partition name.
	Name string
}

// WriteStick makes the stick's image at path. Layout is "disk" (one file
// system, no table), "mbr" or "gpt".
func WriteStick(path, layout string, parts ...Part) error {
	var images []string
	for i := range parts {
		image := parts[i].Image
		if image == "" {
			image = fmt.Sprintf("%s.part%d", path, i)
			defer os.Remove(image)
			if err := parts[i].FileSystem.Write(image); err != nil {
				return err
			}
		}
		images = append(images, image)
	}
	if layout == "disk" {
		if len(images) != 1 {
			return errors.New("write stick: a whole disk holds one file system")
		}
		return copySparse(path, images[0])
	}
	return writeTable(path, layout, parts, images)
}

// writeTable lays the images out behind a partition table.
func writeTable(path, layout string, parts []Part, images []string) error {
	label := map[string]string{"mbr": "dos", "gpt": "gpt"}[layout]
	if label == "" {
		return fmt.Errorf("write stick: unknown layout %q", layout)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "label: %s\n", label)
	at := int64(mib)
	var starts []int64
	for i, image := range images {
		info, err := os.Stat(image)
		if err != nil {
			return err
		}
		size := (info.Size() + mib - 1) / mib * mib
		if layout == "mbr" && len(images) > 4 && i == 3 {
			fmt.Fprintf(&table, "start=%d, type=5\n", at/512)
		}
		if layout == "mbr" && len(images) > 4 && i >= 3 {
			at += mib // the logical partition's own table
		}
		fmt.Fprintf(&table, "start=%d, size=%d, type=%s", at/512, size/512, partitionType(layout, parts[i].Type))
		if parts[i].Name != "" {
			fmt.Fprintf(&table, ", name=%q", parts[i].Name)
		}
		table.WriteString("\n")
		starts = append(starts, at)
		at += size
	}
	if err := makeSparse(path, at+2*mib); err != nil {
		return err
	}
	if err := partition(path, table.String()); err != nil {
		return err
	}
	for i, image := range images {
		if err := insert(path, image, starts[i]); err != nil {
			return err
		}
	}
	return nil
}

// partitionType is what mkfs tools and Windows expect; the agent ignores it.
func partitionType(layout, fsType string) string {
	linux := strings.HasPrefix(fsType, "ext")
	switch {
	case layout == "gpt" && linux:
		return "L"
	case layout == "gpt":
		return "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
	case linux:
		return "83"
	case strings.HasPrefix(fsType, "fat"):
		return "c"
	default:
		return "7"
	}
}

// smallest is the usual size for a type: FAT's type follows from it.
var smallest = map[string]int64{
	"fat12": 8 * mib, "fat16": 32 * mib, "fat32": 64 * mib, "exfat": 32 * mib, "ntfs": 32 * mib,
	"ext2": 16 * mib, "ext3": 32 * mib, "ext4": 32 * mib,
}

// Write makes the file system in the file image.
func (f FileSystem) Write(image string) error {
	size := f.Size
	if size == 0 {
		need, err := f.need()
		if err != nil {
			return err
		}
		for size = smallest[f.Type]; size < need; size *= 2 {
		}
	}
	if err := makeSparse(image, size); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "stick")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := f.stage(dir); err != nil {
		return err
	}
	switch f.Type {
	case "ext2", "ext3", "ext4":
		return f.writeExt(image, dir)
	case "fat12", "fat16", "fat32":
		return f.writeFAT(image, dir)
	case "exfat":
		return f.writeExFAT(image, dir)
	case "ntfs":
		return f.writeNTFS(image, dir)
	}
	return fmt.Errorf("write file system: unknown type %q", f.Type)
}

// need is the room the files take, with some for the file system itself.
func (f FileSystem) need() (int64, error) {
	need := int64(4 * mib)
	for _, file := range f.Files {
		size := int64(len(file.Data))
		if file.Path != "" {
			info, err := os.Stat(file.Path)
			if err != nil {
				return 0, err
			}
			size = info.Size()
		}
		need += size + 8192
	}
	return need, nil
}

// stage puts the files into a host directory, owned by uid 1000.
func (f FileSystem) stage(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	for _, file := range f.Files {
		path := filepath.Join(dir, file.Name)
		if file.Path != "" {
			if err := stageFile(path, file.Path); err != nil {
				return err
			}
		} else if err := os.WriteFile(path, file.Data, 0o644); err != nil {
			return err
		}
		if err := os.Chmod(path, stagedMode(path)); err != nil {
			return err
		}
		if err := os.Chown(path, 1000, 1000); err != nil {
			return err
		}
	}
	return nil
}

// stagedMode is that of a file on a desktop's stick: writable for its group.
func stagedMode(path string) fs.FileMode {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return 0o775
	}
	return 0o664
}

// stageFile copies a file or, with all that is in it, a directory.
func stageFile(to, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return command(nil, "cp", "-rL", from, to)
	}
	return copySparse(to, from)
}

func (f FileSystem) writeExt(image, dir string) error {
	args := []string{"-q", "-F", "-t", f.Type, "-d", dir, "-E", "root_owner=1000:1000"}
	if f.Label != "" {
		args = append(args, "-L", f.Label)
	}
	if err := command(nil, "mke2fs", append(append(args, f.Options...), image)...); err != nil {
		return err
	}
	if !f.Dirty {
		return nil
	}
	block := image + ".block"
	defer os.Remove(block)
	if err := os.WriteFile(block, make([]byte, 4096), 0o644); err != nil {
		return err
	}
	// A transaction that rewrites the last block: replayed, it harms nothing.
	text, err := Image{image}.debugfs("jo", "jw -b 8000 "+block, "jc")
	if err != nil {
		return err
	}
	features, err := output(nil, "dumpe2fs", "-h", image)
	if err != nil || !strings.Contains(string(features), "needs_recovery") {
		return fmt.Errorf("leave a dirty journal: %s", tail(text, 500))
	}
	return nil
}

func (f FileSystem) writeFAT(image, dir string) error {
	args := []string{"-F", strings.TrimPrefix(f.Type, "fat")}
	if f.Label != "" {
		args = append(args, "-n", f.Label)
	}
	if err := command(nil, "mkfs.vfat", append(append(args, f.Options...), image)...); err != nil {
		return err
	}
	for _, name := range f.names() {
		if err := command([]string{"MTOOLS_SKIP_CHECK=1"}, "mcopy", "-s", "-i", image, filepath.Join(dir, name), "::"+name); err != nil {
			return err
		}
	}
	return nil
}

func (f FileSystem) writeNTFS(image, dir string) error {
	args := []string{"-q", "-F", "-Q", "-s", "512", "-p", "2048", "-H", "255", "-S", "63"}
	if f.Label != "" {
		args = append(args, "-L", f.Label)
	}
	if err := command(nil, "mkntfs", append(append(args, f.Options...), image)...); err != nil {
		return err
	}
	for _, name := range f.names() {
		if err := command(nil, "ntfscp", "-q", image, filepath.Join(dir, name), name); err != nil {
			return err
		}
	}
	return nil
}

func (f FileSystem) writeExFAT(image, dir string) error {
	args := []string{"-c", "4K"}
	if f.Label != "" {
		args = append(args, "-L", f.Label)
	}
	if err := command(nil, "mkfs.exfat", append(append(args, f.Options...), image)...); err != nil {
		return err
	}
	for _, name := range f.names() {
		if err := exfatAdd(image, name, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// names lists the files in order.
func (f FileSystem) names() []string {
	var names []string
	for _, file := range f.Files {
		names = append(names, file.Name)
	}
	sort.Strings(names)
	return names
}
