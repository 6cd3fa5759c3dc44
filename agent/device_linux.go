// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"usbagent/mount"
	"usbagent/netlink"
)

// wholeDevice is the disk itself as something to mount.
func wholeDevice(d netlink.Disk) mount.Device {
	return mount.Device{Name: d.Name, Path: d.Node(), Major: d.Major, Minor: d.Minor,
		DiskSeq: d.DiskSeq, ReadOnly: d.ReadOnly, Size: d.Size}
}

// partitionDevices are the partitions of the disk, in number order.
func partitionDevices(d netlink.Disk) []mount.Device {
	var list []mount.Device
	for _, p := range d.Partitions {
		list = append(list, mount.Device{Name: p.Name, Path: p.Node(), Major: p.Major, Minor: p.Minor,
			DiskSeq: d.DiskSeq, ReadOnly: d.ReadOnly || p.ReadOnly, Size: p.Size})
	}
	return list
}

// leftovers are the mounts of an earlier run whose devices are still there.
type leftovers []*mount.Mount

// of splits the mounts of a disk and its partitions off.
func (l leftovers) of(d netlink.Disk) (its, others leftovers) {
	for _, m := range l {
		same := func(x mount.Device) bool { return x.Name == m.Device.Name && x.DiskSeq == m.Device.DiskSeq }
		if slices.ContainsFunc(append(partitionDevices(d), wholeDevice(d)), same) {
			its = append(its, m)
		} else {
			others = append(others, m)
		}
	}
	return its, others
}

// stillThere reports whether the device of an earlier run's mount is still the
// same insertion.
func (a *Agent) stillThere(d mount.Device) bool {
	disks, _ := netlink.Scan("", a.Config.Devices.Allow) // an error is about other disks
	for _, disk := range disks {
		for _, x := range append(partitionDevices(disk), wholeDevice(disk)) {
			if x.Name == d.Name && x.Major == d.Major && x.Minor == d.Minor && x.DiskSeq == d.DiskSeq {
				return true
			}
		}
	}
	return false
}

// partitioned opens the disk and reports whether it begins with a partition
// table instead of a file system. Opening it makes the kernel read the table
// of a medium that nobody has opened yet.
func partitioned(d netlink.Disk) (bool, error) {
	f, err := os.Open(d.Node())
	if err != nil {
		return false, plain(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false, err
	}
	if st.Rdev != unix.Mkdev(d.Major, d.Minor) {
		return false, fmt.Errorf("%s is another device than the kernel announced", d.Node())
	}
	_, err = mount.Probe(f, d.Size)
	return errors.Is(err, mount.ErrPartitionTable), nil
}

// The classes of USB interfaces (USB-IF, Defined Class Codes) that may be on a
// stick: storage, and what a vendor adds for its own tools.
const (
	classStorage = "08"
	classVendor  = "ff"
)

// storageOnly refuses a USB device with interfaces of those classes that is
// something else beside storage, a keyboard for example (devices.storage_only).
func storageOnly(classes []string) error {
	for _, class := range classes {
		if class = strings.ToLower(class); class != classStorage && class != classVendor {
			return fmt.Errorf("the USB device is more than storage (it has an interface of class %s); devices.storage_only = false would allow it", Show(class))
		}
	}
	return nil
}
