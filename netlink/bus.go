// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Peripheral device types of SCSI (SPC) whose disks are left alone: optical
// drives. What a USB stick shows as a CD beside its disk carries drivers, a
// modem's likewise; neither FAT, exFAT, NTFS nor ext is on such a disc, and an
// unreadable one would be reported as an unreadable stick.
const (
	scsiWORM = "4"
	scsiROM  = "5"
)

// usbDevice returns the USB device that the device at lives below, by the
// subsystem of its ancestors, not by the look of their names.
func usbDevice(at dir) (dir, bool) {
	for up := at.up(); up.name() != "devices" && !up.root(); up = up.up() {
		if up.subsystem() == "usb" && up.has("idVendor") { // an interface has the same subsystem, but no vendor
			return up, true
		}
	}
	return dir{}, false
}

// identifyUSB fills in a disk below the USB device usb.
//
// Vendor and Model are SCSI's. The strings of the USB device (manufacturer,
// product) are not read: the kernel takes the device's lock for them, which is
// held as long as a dead device is being reset.
func (d *Disk) identifyUSB(at, usb dir, allow []string) error {
	if !slices.Contains(allow, BusUSB) {
		return errOther
	}
	device := at.join("device")
	if kind, err := device.raw("type"); err == nil && (kind == scsiWORM || kind == scsiROM) {
		return errOther
	}
	d.Bus, d.USBPath = BusUSB, devPath(usb)
	d.Vendor, d.Model = device.text("vendor"), device.text("model")
	if d.Model == "" {
		d.Model = device.text("name") // a card behind a USB reader that speaks SD
	}
	var err error
	d.Interfaces, err = interfaces(usb)
	return err
}

// interfaces lists the classes of all interfaces of a USB device, those of
// devices behind it (a hub's) not included.
func interfaces(usb dir) ([]string, error) {
	entries, err := os.ReadDir(usb.path)
	if err != nil {
		return nil, err
	}
	var classes []string
	for _, e := range entries {
		if !e.IsDir() || !strings.Contains(e.Name(), ":") {
			continue
		}
		class, err := usb.join(e.Name()).raw("bInterfaceClass")
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(classes) == MaxInterfaces {
			return nil, fmt.Errorf("more than %d USB interfaces", MaxInterfaces)
		}
		classes = append(classes, boundText(class))
	}
	slices.Sort(classes)
	return classes, nil
}

// identifyLoop fills in a loop device that stands for a stick.
//
// RAUC attaches the bundles it installs to loop devices: those never count.
// RAUC 1.8 calls LOOP_SET_FD first, which sends the event, and sets autoclear
// a moment later, so in between only the bundle's name tells; other versions,
// and mount -o loop, have autoclear from the start, limit the size to the part
// before the signature, or put dm-verity on top. A bench does none of that.
func (d *Disk) identifyLoop(at dir, allow []string) error {
	if !slices.Contains(allow, BusLoop) {
		return errOther
	}
	loop := at.join("loop")
	file, err := loop.raw("backing_file")
	if err != nil {
		return err // no such attribute: nothing attached, or no loop device
	}
	autoclear, err := loop.number("autoclear", 2)
	if err != nil {
		return err
	}
	limit, err := loop.number("sizelimit", ^uint64(0))
	if err != nil {
		return err
	}
	if autoclear == 1 || limit != 0 || held(at) || bundle(file) {
		return errOther
	}
	d.Bus, d.LoopFile = BusLoop, file
	return nil
}

// bundle reports whether a loop device's backing file is named like a bundle.
func bundle(file string) bool {
	switch strings.ToLower(filepath.Ext(strings.TrimSuffix(file, " (deleted)"))) {
	case ".image", ".raucb":
		return true
	}
	return false
}

// held reports whether another block device, device mapper's for instance, is
// built on the disk.
func held(at dir) bool {
	holders, err := os.ReadDir(at.join("holders").path)
	return err == nil && len(holders) > 0
}
