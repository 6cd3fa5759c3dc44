// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"fmt"
	"io"
	"os"
	"slices"
)

// What is read of USB descriptors (USB 2.0, 9.6).
const (
	// MaxDescriptors bounds the descriptors of one USB device in bytes: the
	// device's own, and eight configurations (USB_MAXCONFIG in
	// drivers/usb/core/config.c) of 64 KiB each.
	MaxDescriptors = deviceDescriptor + 8*(1<<16-1)

	deviceDescriptor    = 18 // bytes
	interfaceDescriptor = 4  // bDescriptorType
	interfaceClass      = 5  // offset of bInterfaceClass
)

// Declared lists the classes of all interfaces that the USB device of d
// declares, in whatever configuration and setting, as Disk.Interfaces does:
// sysfs shows an interface only once the kernel has come to it, which a device
// can hold up by letting the driver of an earlier one wait. Nil for other
// buses, and where the kernel does not show the descriptors.
//
// Some kernels take the device's lock for it, which is held as long as a dead
// device is being reset: call it where it can be abandoned.
func Declared(root string, d Disk) ([]string, error) {
	if d.Bus != BusUSB {
		return nil, nil
	}
	usb, ok := dir{path: sysDir(root).path + d.USBPath}, true
	if d.USBPath == "" {
		usb, ok = usbDevice(dir{path: sysDir(root).path + d.DevPath})
	}
	if !ok {
		return nil, nil
	}
	f, err := os.Open(usb.join("descriptors").path)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the USB descriptors of %s: %w", d.Name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxDescriptors+1))
	switch {
	case gone(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the USB descriptors of %s: %w", d.Name, err)
	case len(text) > MaxDescriptors:
		return nil, fmt.Errorf("read the USB descriptors of %s: more than %d bytes", d.Name, MaxDescriptors)
	}
	return declaredClasses(text), nil
}

// declaredClasses takes the classes out of the descriptors. They belong to
// their configurations by what the device says of lengths, which is not
// believed: the kernel follows each descriptor's own length, and so does this.
func declaredClasses(text []byte) []string {
	var classes []string
	for rest := text[min(len(text), deviceDescriptor):]; len(rest) >= 2; {
		length := int(rest[0])
		if length < 2 || length > len(rest) {
			break
		}
		if rest[1] == interfaceDescriptor && length > interfaceClass {
			classes = append(classes, fmt.Sprintf("%02x", rest[interfaceClass]))
		}
		rest = rest[length:]
	}
	slices.Sort(classes)
	return slices.Compact(classes)
}
