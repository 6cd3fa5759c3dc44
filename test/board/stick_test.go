// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/test/need"
)

// TestSticks makes every file system in every layout and lets the file
// systems' own checkers and blkid say that they are what they should be.
func TestSticks(t *testing.T) {
	need.Root(t)
	for _, tool := range []string{"mke2fs", "mkfs.vfat", "mkfs.exfat", "mkntfs", "ntfscp", "mcopy", "sfdisk", "fsck.exfat", "blkid"} {
		need.Tool(t, tool)
	}
	files := []File{
		{Name: "autorun.sh", Data: []byte("#!/bin/sh\necho hello\n")},
		{Name: "a longer name than fifteen.image", Data: bytes.Repeat([]byte("0123456789abcdef"), 20000)},
		{Name: "empty.image"},
	}
	for _, fsType := range []string{"ext2", "ext3", "ext4", "fat12", "fat16", "fat32", "exfat", "ntfs"} {
		for _, layout := range []string{"disk", "mbr", "gpt"} {
			t.Run(fsType+"/"+layout, func(t *testing.T) {
				spec := FileSystem{Type: fsType, Label: "STICK", Files: files, Dirty: fsType == "ext3" || fsType == "ext4"}
				path := filepath.Join(t.TempDir(), "stick")
				if err := WriteStick(path, layout, Part{FileSystem: spec}); err != nil {
					t.Fatal(err)
				}
				offset := map[string]int{"disk": 0, "mbr": mib, "gpt": mib}[layout]
				out, err := exec.Command("blkid", "-p", "-O", fmt.Sprint(offset), path).CombinedOutput()
				if err != nil || !strings.Contains(string(out), `LABEL="STICK"`) {
					t.Fatalf("blkid: %v: %s", err, out)
				}
				if layout == "disk" {
					check(t, fsType, path)
				}
			})
		}
	}
}

// check runs the file system's own checker where there is one.
func check(t *testing.T, fsType, path string) {
	t.Helper()
	argv := map[string][]string{
		"exfat": {"fsck.exfat", "-n", path}, "fat12": {"fsck.vfat", "-n", path}, "fat32": {"fsck.vfat", "-n", path},
		"ext2": {"e2fsck", "-n", "-f", path}, "ntfs": {"ntfsfix", "-n", path},
	}[fsType]
	if argv == nil {
		return
	}
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", argv, err, out)
	}
}

// TestManyPartitions makes twelve partitions behind one table of each kind.
func TestManyPartitions(t *testing.T) {
	need.Root(t)
	need.Tool(t, "sfdisk")
	for _, layout := range []string{"mbr", "gpt"} {
		var parts []Part
		for i := range 12 {
			parts = append(parts, Part{FileSystem: FileSystem{Type: "fat12", Label: fmt.Sprintf("P%d", i+1), Size: 2 * mib}})
		}
		path := filepath.Join(t.TempDir(), layout)
		if err := WriteStick(path, layout, parts...); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("sfdisk", "-d", path).CombinedOutput()
		if err != nil || strings.Count(string(out), "start=") < 12 {
			t.Errorf("%s: %v: %s", layout, err, out)
		}
	}
}
