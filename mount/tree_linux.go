// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// option is one mount option; a flag where value is empty.
type option struct{ key, value string }

// attempt is one way to mount a file system.
type attempt struct {
	driver  string // as in /proc/filesystems; the kernel loads its module where it is one
	options []option
}

// attempts are the ways to mount s with the kernel's drivers, best first.
func (m *Mounter) attempts(d Device, s Superblock) []attempt {
	owner := []option{
		{"uid", "0"}, {"gid", "0"},
		{"fmask", fmt.Sprintf("%04o", m.o.Fmask)}, {"dmask", fmt.Sprintf("%04o", m.o.Dmask)},
	}
	with := func(driver string, base []option, more ...option) attempt {
		return attempt{driver, append(append([]option(nil), base...), more...)}
	}
	switch s.Type {
	case "ext2", "ext3", "ext4":
		return extAttempts(d, s)
	case "vfat":
		return fatAttempts(with, owner)
	case "exfat":
		carry := option{"errors", "continue"}
		return []attempt{with("exfat", owner, carry, option{"iocharset", "utf8"}), with("exfat", owner, carry)}
	default:
		return []attempt{
			with("ntfs3", owner, option{"iocharset", "utf8"}),
			with("ntfs3", owner, option{"nls", "utf8"}), // Linux 5.15
			with("ntfs", owner, option{"nls", "utf8"}),
			with("ntfs", owner),
		}
	}
}

// extAttempts: each ext has its own driver, and ext4's takes all three.
// errors=continue overrides what the superblock says. A journal that must be
// replayed on a device that cannot be written is passed over.
func extAttempts(d Device, s Superblock) []attempt {
	options := []option{{"errors", "continue"}}
	if s.NeedsRecovery && d.ReadOnly {
		options = append(options, option{"noload", ""})
	}
	list := []attempt{{s.Type, options}}
	if s.Type != "ext4" {
		list = append(list, attempt{"ext4", options})
	}
	return list
}

// fatAttempts: the driver insists on two translation tables even with utf8=1,
// by default those the kernel was configured with, which a small image may
// lack. "default" is built in; one of the code pages has to be there.
func fatAttempts(with func(string, []option, ...option) attempt, owner []option) []attempt {
	base := append(append([]option(nil), owner...), option{"utf8", "1"}, option{"errors", "continue"})
	list := []attempt{with("vfat", base)}
	for _, charset := range []string{"", "default"} {
		for _, page := range []string{"", "437", "850", "852", "1250", "1251"} {
			var more []option
			if charset != "" {
				more = append(more, option{"iocharset", charset})
			}
			if page != "" {
				more = append(more, option{"codepage", page})
			}
			if more != nil {
				list = append(list, with("vfat", base, more...))
			}
		}
	}
	return list
}

// tree mounts the file system of x without attaching it anywhere yet: it sets
// the handle of its root, and what mounted it.
func (m *Mounter) tree(ctx context.Context, x *Mount, s Superblock) error {
	var failed error
	for _, a := range m.attempts(x.Device, s) {
		root, err := kernelTree(x.Device, a)
		if err == nil {
			x.root, x.Driver = root, a.driver
			return nil
		}
		if deviceGone(err) {
			return err
		}
		if !errors.Is(err, ErrNoDriver) && failed == nil {
			failed = err
		}
	}
	if s.Type == "ntfs" {
		return m.ntfs3gTree(ctx, x, failed)
	}
	if failed == nil {
		failed = fmt.Errorf("%w: the kernel does not know %s (format the stick as FAT32 or ext4)", ErrNoDriver, s.Type)
	}
	return failed
}

// deviceGone reports whether another driver would fare no better.
func deviceGone(err error) bool {
	for _, errno := range []error{unix.EIO, unix.ENXIO, unix.ENOMEDIUM, unix.EBUSY, unix.EPERM, unix.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// kernelTree makes one attempt with the kernel's mount API.
func kernelTree(d Device, a attempt) (*os.File, error) {
	fs, err := unix.Fsopen(a.driver, unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENODEV) {
		return nil, fmt.Errorf("%w: %s", ErrNoDriver, a.driver)
	}
	if err != nil {
		return nil, fmt.Errorf("file system %s: %w", a.driver, err)
	}
	defer unix.Close(fs)
	if err := configure(fs, d, a.options); err != nil {
		words := complaints(fs)
		if words == "" && errors.Is(err, unix.EINVAL) {
			words = " (damaged, or the kernel lacks what it needs; the kernel's log says more)"
		}
		return nil, fmt.Errorf("file system %s: %w%s", a.driver, err, words)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return nil, fmt.Errorf("file system %s: %w%s", a.driver, err, complaints(fs))
	}
	return os.NewFile(uintptr(fd), d.Path), nil
}

// configure hands over source and options and has the superblock read.
func configure(fs int, d Device, options []option) error {
	if err := unix.FsconfigSetString(fs, "source", d.Path); err != nil {
		return err
	}
	if err := unix.FsconfigSetFlag(fs, "ro"); err != nil {
		return err
	}
	for _, o := range options {
		var err error
		if o.value == "" {
			err = unix.FsconfigSetFlag(fs, o.key)
		} else {
			err = unix.FsconfigSetString(fs, o.key, o.value)
		}
		if err != nil {
			return fmt.Errorf("option %s=%s: %w", o.key, o.value, err)
		}
	}
	return unix.FsconfigCreate(fs)
}

const (
	maxComplaint  = 1024 // bytes of one of the kernel's messages
	maxComplaints = 8    // messages; the kernel keeps no more
)

// complaints are the kernel's own words on what went wrong, quoted since they
// may hold bytes of the device.
func complaints(fs int) string {
	var text strings.Builder
	b := make([]byte, maxComplaint)
	for range maxComplaints {
		n, err := unix.Read(fs, b)
		if n <= 0 || err != nil {
			break
		}
		if message, ok := strings.CutPrefix(string(b[:n]), "e "); ok {
			fmt.Fprintf(&text, " (%q)", strings.TrimSpace(message))
		}
	}
	return text.String()
}

// attach puts the mount whose root is given onto the directory dir.
func attach(root, dir *os.File) error {
	err := unix.MoveMount(int(root.Fd()), "", int(dir.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("attach to %s: %w", dir.Name(), err)
	}
	return nil
}
