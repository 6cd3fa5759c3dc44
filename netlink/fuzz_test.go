// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// fuzzed are the attributes that FuzzSysfs replaces.
var fuzzed = []string{"dev", "size", "ro", "removable", "hidden", "diskseq", "events", "events_poll_msecs",
	"device/type", "device/vendor", "device/model", "loop/sizelimit", "loop/autoclear", "loop/backing_file",
	"loop0p1/partition", "loop0p1/dev", "loop0p1/size", "loop0p1/ro"}

// FuzzSysfs: whatever an attribute says, the disk makes sense or is an error.
func FuzzSysfs(f *testing.F) {
	for n := range fuzzed {
		for _, value := range []string{"", "\n", "0\n", "1\n", "8:17\n", "-1\n", "18446744073709551615\n", "36028797018963967\n", "QEMU    \n", "\xff\x00\x1b[2J"} {
			f.Add(uint(n), value)
		}
	}
	root := plantLoop(f, "loop0", nil)
	dir := at(f, root, "loop0")
	for attribute, value := range map[string]string{"hidden": "0\n", "loop0p1/partition": "1\n", "loop0p1/dev": "259:1\n",
		"loop0p1/size": "8\n", "loop0p1/ro": "0\n", "events": "\n", "events_poll_msecs": "-1\n", "device/type": "0\n"} {
		put(f, filepath.Join(dir, attribute), value)
	}
	f.Fuzz(func(t *testing.T, which uint, value string) {
		path := filepath.Join(dir, fuzzed[which%uint(len(fuzzed))])
		before, _ := os.ReadFile(path)
		put(t, path, value)
		defer func() {
			if before == nil {
				os.Remove(path)
			} else {
				put(t, path, string(before))
			}
		}()
		d, ok, err := Refresh(root, "loop0", []string{BusLoop})
		if err != nil && ok {
			t.Errorf("%v and a disk", err)
		}
		if ok && (d.Size < 0 || d.Size%sectorBytes != 0 || d.Major > 4095 || d.Minor > 1<<20-1 || len(d.LoopFile) > maxAttribute) {
			t.Errorf("%+v", d)
		}
		for _, p := range d.Partitions {
			if p.Number < 0 || p.Size < 0 {
				t.Errorf("%+v", p)
			}
		}
		if text := boundText(value); len(text) > MaxText || !utf8.ValidString(text) {
			t.Errorf("%q of %q", text, value)
		}
	})
}
