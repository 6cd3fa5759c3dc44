// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"strings"
	"testing"
)

func (a attempt) String() string {
	var s []string
	for _, o := range a.options {
		s = append(s, strings.TrimSuffix(o.key+"="+o.value, "="))
	}
	return a.driver + " " + strings.Join(s, ",")
}

// TestAttempts: which drivers, in which order, with which options.
func TestAttempts(t *testing.T) {
	m := &Mounter{o: Options{Fmask: 0o133, Dmask: 0o022}}
	const owner = "uid=0,gid=0,fmask=0133,dmask=0022"
	fat := owner + ",utf8=1,errors=continue"
	for _, c := range []struct {
		s        Superblock
		readOnly bool
		want     []string
	}{
		{Superblock{Type: "ext2"}, false, []string{"ext2 errors=continue", "ext4 errors=continue"}},
		{Superblock{Type: "ext3"}, false, []string{"ext3 errors=continue", "ext4 errors=continue"}},
		{Superblock{Type: "ext4", NeedsRecovery: true}, false, []string{"ext4 errors=continue"}},
		{Superblock{Type: "ext4"}, true, []string{"ext4 errors=continue"}},
		{Superblock{Type: "ext4", NeedsRecovery: true}, true, []string{"ext4 errors=continue,noload"}},
		{Superblock{Type: "ext3", NeedsRecovery: true}, true, []string{"ext3 errors=continue,noload", "ext4 errors=continue,noload"}},
		{Superblock{Type: "exfat"}, false, []string{"exfat " + owner + ",errors=continue,iocharset=utf8", "exfat " + owner + ",errors=continue"}},
		{Superblock{Type: "ntfs"}, false, []string{"ntfs3 " + owner + ",iocharset=utf8", "ntfs3 " + owner + ",nls=utf8", "ntfs " + owner + ",nls=utf8", "ntfs " + owner}},
		{Superblock{Type: "vfat"}, false, []string{
			"vfat " + fat, "vfat " + fat + ",codepage=437", "vfat " + fat + ",codepage=850", "vfat " + fat + ",codepage=852", "vfat " + fat + ",codepage=1250", "vfat " + fat + ",codepage=1251",
			"vfat " + fat + ",iocharset=default", "vfat " + fat + ",iocharset=default,codepage=437", "vfat " + fat + ",iocharset=default,codepage=850",
			"vfat " + fat + ",iocharset=default,codepage=852", "vfat " + fat + ",iocharset=default,codepage=1250", "vfat " + fat + ",iocharset=default,codepage=1251",
		}},
	} {
		var got []string
		for _, a := range m.attempts(Device{ReadOnly: c.readOnly}, c.s) {
			got = append(got, a.String())
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%+v:\ngot  %q\nwant %q", c.s, got, c.want)
		}
	}
}
