// SPDX-License-Identifier: GPL-3.0-or-later

// Package netlink finds the disks that count as sticks, and notices when one
// comes, goes or changes.
//
// It has two halves. [Listen] opens the kernel's uevent socket; what comes out
// of [Source.Next] is only a hint: names of disks worth another look, or the
// word that events were lost. [Scan] and [Refresh] read sysfs, which is the
// truth. A caller listens first, then scans, then refreshes each name it is
// hinted at and scans again after a loss: no gap and no double, whatever the
// order of events. That works since the kernel changes what sysfs shows before
// it sends the event (block/genhd.c: a disk is linked into /sys/block before
// its add, and taken out of it before its remove).
//
// Failure model: anybody may send to a netlink socket, so only the kernel's
// own multicast messages are taken, and a message that is forged, truncated or
// malformed is counted and dropped. Even a message that were forged well could
// not do more than cause one look at sysfs. Strings that a device chose
// (Vendor, Model) are bounded but not made safe: escape them in logs.
//
// It does not open, read or write any block device, and it does not know what
// has been handled before; the agent decides that by DISKSEQ.
package netlink

import (
	"path"
	"slices"
	"strings"
	"time"
)

// The buses that Scan and Refresh can be told to allow, as in devices.allow.
const (
	BusUSB  = "usb"  // disks below a USB device
	BusLoop = "loop" // loop devices with a backing file, for benches and tests
)

const (
	// MaxDisks bounds how many disks one Scan looks at. A board has a
	// handful; 16 sticks on hubs with four-slot readers make 64.
	MaxDisks = 1024

	// MaxPartitions bounds the partitions of one disk; it is the kernel's own
	// limit (DISK_MAX_PARTS in include/linux/blkdev.h).
	MaxPartitions = 256

	// MaxInterfaces bounds the interfaces of one USB device (USB_MAXINTERFACES
	// in include/linux/usb.h).
	MaxInterfaces = 32

	// MaxName bounds the length in bytes of a disk's name; the kernel's own
	// limit is 32 (DISK_NAME_LEN).
	MaxName = 64

	// MaxText bounds the length in bytes of Vendor and Model. SCSI has 8 and
	// 16 characters for them.
	MaxText = 64

	// MaxPending bounds the names of disks that wait for Next. Beyond it the
	// hint says Lost, and the caller scans.
	MaxPending = 256
)

// Disk is one whole disk as sysfs shows it at one moment.
type Disk struct {
	Name         string // as in /sys/block: sda, mmcblk0, loop0
	DevPath      string // the kernel's DEVPATH: /devices/…/block/sda; names the port
	Major, Minor uint32
	DiskSeq      uint64 // the kernel's number for this insertion, 0 where it has none (before 5.15)
	Size         int64  // bytes; 0: a reader without a medium
	ReadOnly     bool
	Bus          string      // BusUSB or BusLoop
	Vendor       string      // as the device says, bounded, not made safe
	Model        string      // likewise
	Partitions   []Partition // in number order
	Removable    bool        // the medium can leave the device
	Interfaces   []string    // classes of all interfaces of the USB device, two hexadecimal digits ("08" is mass storage), sorted; nil for other buses
	LoopFile     string      // the backing file of a loop device, as the kernel shows it
	USBPath      string      // DevPath of the USB device; empty for other buses
}

// Partition is one partition of a Disk.
type Partition struct {
	Name         string // sda10, mmcblk0p1
	Number       int
	Major, Minor uint32
	Size         int64 // bytes
	ReadOnly     bool
}

// Node is the path of the disk's device node.
func (d Disk) Node() string { return node(d.Name) }

// Node is the path of the partition's device node.
func (p Partition) Node() string { return node(p.Name) }

// node turns a name as in sysfs into the node that devtmpfs makes: a slash in
// a device's name is an exclamation mark in sysfs.
func node(name string) string { return "/dev/" + strings.ReplaceAll(name, "!", "/") }

// SameInsertion reports whether both are the same medium in the same device:
// then repeated add and change events mean nothing new.
func (d Disk) SameInsertion(o Disk) bool {
	return d.Name == o.Name && d.DevPath == o.DevPath && d.Major == o.Major && d.Minor == o.Minor &&
		d.DiskSeq == o.DiskSeq && d.Size == o.Size
}

// Equal reports whether nothing that this package reads has changed.
func (d Disk) Equal(o Disk) bool {
	return d.SameInsertion(o) && d.ReadOnly == o.ReadOnly &&
		slices.Equal(d.Partitions, o.Partitions) && slices.Equal(d.Interfaces, o.Interfaces)
}

// Hint says where to look.
type Hint struct {
	Lost  bool      // events were lost, or too many names waited: scan everything
	Disks []string  // names of the disks that events named, in the order they came
	First time.Time // when the first of these events was read

	// Announced holds, by name, the DISKSEQ of those of the Disks that the
	// kernel announced itself. It does so when all partitions of the medium
	// that was in at the time are there (block/genhd.c: device_add_disk); as
	// long as sysfs shows that DISKSEQ, nobody has to open the disk for them.
	// Nothing is known of the others: a medium that was put into a reader, an
	// add that somebody asked the kernel to repeat.
	Announced map[string]uint64
}

// Counters says what came in since Listen.
type Counters struct {
	Events    uint64 // messages of any kind
	Block     uint64 // events of block devices
	Forged    uint64 // not from the kernel
	Truncated uint64 // longer than a uevent can be
	Malformed uint64 // no uevent, or without a usable name
	Wakeups   uint64 // times the socket's goroutine was woken
	Overruns  uint64 // times the kernel dropped events since the queue was full
}

// diskOf returns the name of the disk that an event of a block device is
// about, for a partition its disk, and false when there is no usable name.
// The name comes from the device path, since the device is gone from sysfs
// when its remove event arrives.
func diskOf(devpath, devtype string) (string, bool) {
	if devtype == "partition" {
		devpath = path.Dir(devpath)
	}
	name := path.Base(devpath)
	return name, validName(name)
}

// validName reports whether name can be an entry of /sys/block.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= MaxName && !strings.ContainsAny(name, "/\x00")
}
