// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

// settleTries bounds how often a disk is read again because another one took
// its name meanwhile.
const settleTries = 3

// errOther says that a disk is none of ours: another bus, no bus that is
// allowed, or a kind of device that is no stick.
var errOther = errors.New("not a disk to look at")

// Scan returns every disk on the allowed buses, in the order of their names.
// root is where sys is, "" for the real one.
//
// A disk that goes while it is read is left out. One that cannot be made sense
// of is left out too and named in the error, which then comes with the others:
// a strange disk never hides a good one.
func Scan(root string, allow []string) ([]Disk, error) {
	entries, err := os.ReadDir(blockDir(root).path)
	if err != nil {
		return nil, fmt.Errorf("scan block devices: %w", err)
	}
	var disks []Disk
	var errs []error
	for i, e := range entries {
		if i == MaxDisks {
			errs = append(errs, fmt.Errorf("scan block devices: more than %d", MaxDisks))
			break
		}
		d, ok, err := Refresh(root, e.Name(), allow)
		if err != nil {
			errs = append(errs, err)
		} else if ok {
			disks = append(disks, d)
		}
	}
	return disks, errors.Join(errs...)
}

// Refresh returns the disk of that name as it is now, and false when it is
// gone or does not count.
func Refresh(root, name string, allow []string) (Disk, bool, error) {
	if !validName(name) {
		return Disk{}, false, fmt.Errorf("look at disk %.64q: not a disk's name", name)
	}
	for range settleTries {
		d, same, err := readDisk(root, name, allow)
		switch {
		case gone(err) || errors.Is(err, errOther):
			return Disk{}, false, nil
		case err != nil:
			return Disk{}, false, fmt.Errorf("look at disk %s: %w", name, err)
		case same:
			return d, true, nil
		}
	}
	return Disk{}, false, fmt.Errorf("look at disk %s: it keeps changing", name)
}

// Unchanged reports whether the USB disk d is in the system still as it was:
// cheaper than Refresh, after an event of which there are several for each disk.
// False says nothing, as for other buses: a loop device is gone with its file,
// and keeps size and DISKSEQ for a moment.
func Unchanged(root string, d Disk) bool {
	if !validName(d.Name) || d.Bus != BusUSB {
		return false
	}
	at, err := blockDir(root).join(d.Name).open()
	if err != nil {
		return false
	}
	defer at.close()
	seq, err := at.optional("diskseq", ^uint64(0))
	if err != nil || seq != d.DiskSeq {
		return false
	}
	major, minor, size, _, err := measure(at)
	return err == nil && major == d.Major && minor == d.Minor && size == d.Size
}

// Glance guesses from two looks whether there is a USB disk with a medium of
// that name, for a LED that shall not wait for Refresh.
func Glance(root, name string) bool {
	if !validName(name) {
		return false
	}
	at, err := deviceDir(root, name)
	return err == nil && glance(at)
}

// GlanceAt is Glance for the disk with this DevPath, from one look.
func GlanceAt(root, devpath string) bool { return glance(dir{path: sysDir(root).path + devpath}) }

func glance(at dir) bool {
	if !strings.Contains(at.path, "/usb") {
		return false
	}
	size, err := at.bytes("size")
	return err == nil && size > 0
}

// gone reports whether err is what sysfs says of a device that left.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO)
}

// sysDir is sys below root.
func sysDir(root string) dir {
	if root == "" {
		root = "/"
	}
	return dir{path: filepath.Join(root, "sys")}
}

func blockDir(root string) dir { return dir{path: sysDir(root).path + "/block"} }

// deviceDir returns the directory of a disk: ../devices/…, a path without
// further links.
func deviceDir(root, name string) (dir, error) {
	block := blockDir(root)
	target, err := block.link(name)
	return dir{path: filepath.Join(block.path, target)}, err
}

// readDisk reads all of a disk's attributes and reports whether they are of
// one and the same insertion.
func readDisk(root, name string, allow []string) (Disk, bool, error) {
	at, err := deviceDir(root, name)
	if err != nil {
		return Disk{}, false, err
	}
	if at, err = at.open(); err != nil {
		return Disk{}, false, err
	}
	defer at.close()
	d := Disk{Name: name, DevPath: devPath(at)}
	if d.DiskSeq, err = at.optional("diskseq", ^uint64(0)); err != nil {
		return d, false, err
	}
	if err := d.identify(at, allow); err != nil {
		return d, false, err
	}
	if err := d.measure(at); err != nil {
		return d, false, err
	}
	again, err := at.optional("diskseq", ^uint64(0))
	return d, again == d.DiskSeq, err
}

// devPath is the kernel's name for a directory below /sys.
func devPath(at dir) string {
	path := filepath.ToSlash(at.path)
	return path[max(strings.LastIndex(path, "/devices/"), 0):]
}

// identify fills in what kind of disk it is, and fails with errOther when it
// is none of the allowed kinds.
func (d *Disk) identify(at dir, allow []string) error {
	if hidden, err := at.optional("hidden", 2); err != nil || hidden == 1 {
		return errors.Join(err, errOther) // no node: a path of a multipath device
	}
	if usb, ok := usbDevice(at); ok {
		return d.identifyUSB(at, usb, allow)
	}
	return d.identifyLoop(at, allow)
}

// measure fills in numbers, size, state and partitions.
func (d *Disk) measure(at dir) error {
	var err error
	if d.Major, d.Minor, d.Size, d.ReadOnly, err = measure(at); err != nil {
		return err
	}
	removable, err := at.optional("removable", 2)
	if err != nil {
		return err
	}
	d.Removable = removable == 1
	d.Partitions, err = partitions(at, d.Name)
	return err
}

func measure(at dir) (major, minor uint32, size int64, readOnly bool, err error) {
	dev, err := at.raw("dev")
	if err != nil {
		return 0, 0, 0, false, err
	}
	if major, minor, err = parseDev(dev); err != nil {
		return 0, 0, 0, false, err
	}
	if size, err = at.bytes("size"); err != nil {
		return 0, 0, 0, false, err
	}
	ro, err := at.number("ro", 2)
	return major, minor, size, ro == 1, err
}

// partitions reads a disk's partitions. They are the directories in it whose
// name starts with the disk's and which have a number; how the number is
// appended (sda1, mmcblk0p1) is of no interest.
func partitions(at dir, disk string) ([]Partition, error) {
	entries, err := os.ReadDir(at.path)
	if err != nil {
		return nil, err
	}
	var list []Partition
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), disk) {
			continue
		}
		p, err := partition(at.join(e.Name()), e.Name())
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(list) == MaxPartitions {
			return nil, fmt.Errorf("more than %d partitions", MaxPartitions)
		}
		list = append(list, p)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Number < list[j].Number })
	return list, nil
}

func partition(at dir, name string) (Partition, error) {
	number, err := at.number("partition", 1<<16)
	if err != nil {
		return Partition{}, err
	}
	p := Partition{Name: name, Number: int(number)}
	p.Major, p.Minor, p.Size, p.ReadOnly, err = measure(at)
	return p, err
}
