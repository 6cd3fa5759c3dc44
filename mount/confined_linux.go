// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// What there is in the jail.
const (
	jailProgram = "/ntfs-3g"
	jailDevice  = "/dev/stick"
	jailTarget  = "/target"

	jailFiles = "nr_inodes=64,size=64k" // of the jail's own tmpfs
)

// confinedLink is the descriptor by which ConfinedMain talks to its starter.
const confinedLink = 3

// libraries are bound into the jail, read-only, for the dynamic linker.
var libraries = []string{"/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32"}

// ConfinedMain is the main function of the hidden subcommand
//
//	usbagent confined-ntfs-3g PROGRAM DEVICE ARGV0 [ARG…]
//
// that Mount starts for NTFS where the kernel has no driver. It gives up all
// that ntfs-3g does not need, and becomes it. It returns, with an exit status,
// only where that went wrong.
//
// ntfs-3g parses bytes that an attacker chose, so what runs there has: a root
// directory of its own, read-only, with nothing but its program, the system's
// libraries, the device, /dev/fuse and /dev/null; no capabilities and no way to get any
// (no_new_privs); a filter of system calls that allows what a single process
// needs to read a device and answer FUSE requests, without exec, fork, sockets,
// signals to others and mount; limits of memory, files, file size and core. It
// cannot mount either: see supervise. Mount refuses to go on where one of these
// could not be had.
func ConfinedMain(args []string) int {
	if len(args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: confined-ntfs-3g PROGRAM DEVICE ARGV0 [ARG...] (started by usbagent itself)")
		return 2
	}
	if err := confine(args[0], args[1], args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "confine:", err)
	}
	return 1
}

func confine(program, device string, argv []string) error {
	runtime.LockOSThread() // capabilities and filter are of the thread that execs
	unix.CloseOnExec(confinedLink)
	if n, err := unix.Read(confinedLink, make([]byte, 1)); n != 1 {
		return fmt.Errorf("wait for the starter: %w", errors.Join(err, unix.EPIPE))
	}
	os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // a comfort: it is the first to go
	if err := jail(program, device); err != nil {
		return fmt.Errorf("jail: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	filter, err := newFilter()
	if err != nil {
		return err
	}
	return enter(filter, argv)
}

// enter installs the filter, hands its listener to the starter and becomes
// the program, for which the starter's leave is waited.
func enter(filter []unix.SockFilter, argv []string) error {
	listener, err := installFilter(filter)
	if err != nil {
		return fmt.Errorf("system call filter: %w", err)
	}
	if err := unix.Sendmsg(confinedLink, []byte{1}, unix.UnixRights(listener), nil, 0); err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	return fmt.Errorf("exec: %w", unix.Exec(jailProgram, argv, []string{"LC_ALL=C.UTF-8"}))
}

// dropCapabilities empties all sets. The bounding set needs CAP_SETPCAP; where
// a unit did not grant it, no_new_privs keeps exec from giving anything back.
func dropCapabilities() error {
	for c := uintptr(0); c <= 63; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); errors.Is(err, unix.EINVAL) {
			break // the last one the kernel knows
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

// jail replaces the root directory, in this process's own mount namespace.
func jail(program, device string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	binds, err := cloneAll(program)
	if err != nil {
		return err
	}
	const base = "/proc" // a directory that is there everywhere
	nodes := map[string]string{jailDevice: device, "/dev/fuse": "/dev/fuse", "/dev/null": "/dev/null"}
	for inside, outside := range nodes {
		if binds[inside], err = clone(outside); err != nil {
			return err
		}
	}
	if err := unix.Mount("tmpfs", base, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755,"+jailFiles); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	if err := furnish(base, binds, nodes); err != nil {
		return err
	}
	if err := changeRoot(base); err != nil {
		return err
	}
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NOEXEC)
	return unix.Mount("", "/", "", flags, "")
}

// cloneAll takes handles of what is to be seen in the jail, by its path there.
func cloneAll(program string) (map[string]int, error) {
	binds := make(map[string]int)
	var err error
	if binds[jailProgram], err = clone(program); err != nil {
		return nil, err
	}
	for _, path := range append([]string{"/etc/ld.so.cache"}, libraries...) {
		info, err := os.Lstat(path)
		if err != nil {
			continue
		}
		if info.Mode()&os.ModeSymlink != 0 {
			binds[path] = -1 // /lib is usr/lib: the link is made anew
			continue
		}
		if binds[path], err = clone(path); err != nil {
			return nil, err
		}
	}
	return binds, nil
}

// clone is a copy of the mount at path, attached nowhere.
func clone(path string) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("bind %s: %w", path, err)
	}
	return fd, nil
}

// furnish fills the jail at base. A device node of its own can be made
// unwritable; where mknod is not granted, the system's is bound.
func furnish(base string, binds map[string]int, nodes map[string]string) error {
	if err := errors.Join(os.Mkdir(base+jailTarget, 0o755), os.Mkdir(base+"/proc", 0o755)); err != nil {
		return err
	}
	known := "nodev\tfuse\n\tfuseblk\n" // else ntfs-3g looks for modprobe
	if err := os.WriteFile(base+"/proc/filesystems", []byte(known), 0o444); err != nil {
		return err
	}
	for path, fd := range binds {
		if err := os.MkdirAll(filepath.Dir(base+path), 0o755); err != nil {
			return err
		}
		var err error
		switch _, node := nodes[path]; {
		case fd < 0:
			err = relink(path, base+path)
		case node && ownNode(base+path, path == jailDevice, fd) == nil:
		default:
			err = bind(fd, base+path, !node)
		}
		if err != nil {
			return err
		}
		unix.Close(fd)
	}
	return nil
}

func relink(path, there string) error {
	text, err := os.Readlink(path)
	if err != nil {
		return err
	}
	return os.Symlink(text, there)
}

// ownNode makes a node for the device behind fd. Without capabilities, not even
// root can open for writing what has no write permission.
func ownNode(path string, readOnly bool, fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	mode := uint32(0o600)
	if readOnly {
		mode = 0o400
	}
	return unix.Mknod(path, st.Mode&unix.S_IFMT|mode, int(st.Rdev))
}

// bind attaches the clone fd at path, after making it read-only and nosuid.
func bind(fd int, path string, nodev bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	var err error
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = os.Mkdir(path, 0o755)
	} else {
		err = os.WriteFile(path, nil, 0o444)
	}
	if err != nil {
		return err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if nodev {
		attr.Attr_set |= unix.MOUNT_ATTR_NODEV
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("bind %s: %w", path, err)
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("bind %s: %w", path, err)
	}
	return nil
}

// changeRoot makes base the root directory and lets go of the old one. On an
// initramfs, which has no pivot_root, the old one is covered instead.
func changeRoot(base string) error {
	if err := unix.Chdir(base); err != nil {
		return err
	}
	err := unix.PivotRoot(".", ".")
	if err == nil {
		err = unix.Unmount(".", unix.MNT_DETACH)
	} else if errors.Is(err, unix.EINVAL) {
		if err = unix.Mount(".", "/", "", unix.MS_MOVE, ""); err == nil {
			err = unix.Chroot(".")
		}
	}
	if err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	return unix.Chdir("/")
}
