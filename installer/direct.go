// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"fmt"
	"io/fs"
)

// Direct is the setting installer.direct.
type Direct string

const (
	DirectAuto   Direct = "auto"   // stage unless the device cannot cheat
	DirectAlways Direct = "always" // never stage
	DirectNever  Direct = "never"  // always stage
)

// Location is where an image lies, as far as RAUC minds.
type Location struct {
	FUSE bool // a user-space file system answers the reads
	UID  uint32
	Mode fs.FileMode
	Type string // file system, as mounted: "ext4", "vfat", "exfat", …
}

// StageFacts is what MustStage decides upon.
type StageFacts struct {
	Direct Direct
	Format Format
	// Conf is RAUC's configuration; the zero value, where it could not be
	// read, counts as accepting every format.
	Conf SystemConf
	// Binds: the installer can be bound to the manifest's hash, and the hash is known.
	Binds    bool
	Location Location
}

// MustStage says whether an image has to be copied to a private place before
// the installer gets it, and why (docs/security.md, installer.direct).
func MustStage(f StageFacts) (bool, string) {
	switch f.Direct {
	case DirectNever:
		return true, `installer.direct is "never"`
	case DirectAlways:
		return false, `installer.direct is "always"`
	}
	switch f.Format {
	case Verity, Crypt:
	default:
		return true, f.plainReason()
	}
	if f.Binds {
		return false, fmt.Sprintf("every block of the %s bundle is checked as it is read, and RAUC takes no other manifest", f.Format)
	}
	if len(f.Conf.Formats) != 0 && !f.Conf.Accepts(Plain) {
		return false, fmt.Sprintf("every block of the %s bundle is checked as it is read, and RAUC takes no plain bundle in its place", f.Format)
	}
	return true, "RAUC would take a plain bundle if the device showed it one in this one's place"
}

// plainReason tells why a plain bundle is staged.
func (f StageFacts) plainReason() string {
	if why := f.Location.refusal(); why != "" {
		return "a plain bundle is checked only once, and RAUC would refuse it where it lies: " + why
	}
	return "a plain bundle is checked only once, and the device could change it afterwards"
}

// trustedTypes are the file systems on which RAUC takes plain bundles
// (check_bundle_access in its bundle.c).
var trustedTypes = map[string]bool{
	"ext2": true, "ext3": true, "ext4": true, "vfat": true, "msdos": true, "ntfs": true, "ntfs3": true,
	"squashfs": true, "btrfs": true, "f2fs": true, "xfs": true, "tmpfs": true, "ubifs": true, "overlay": true,
}

// refusal says why RAUC would refuse a plain bundle at this place; it could
// not mend it, since sticks are mounted read-only.
func (l Location) refusal() string {
	switch {
	case l.FUSE:
		return "a FUSE file system"
	case l.UID != 0:
		return fmt.Sprintf("it belongs to uid %d", l.UID)
	case l.Mode.Perm()&0o022 != 0:
		return fmt.Sprintf("mode %04o lets others write it", l.Mode.Perm())
	case l.Type != "" && !trustedTypes[l.Type]:
		return "file system " + l.Type
	}
	return ""
}
