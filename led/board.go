// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The backends, as in led.backend.
const (
	BackendAuto     = "auto"     // by the board's model
	BackendSysfs    = "sysfs"    // LED class
	BackendGPIOChip = "gpiochip" // GPIO character device
	BackendRPIO     = "rpio"     // registers of a Raspberry Pi
	BackendNone     = "none"     // no LED
)

// maxDeviceTree bounds a property of the device tree in bytes; a longer one
// counts as missing.
const maxDeviceTree = 4096

// boards is the board table: the first entry whose model fits. A model that ends in * is the start of one.
var boards = []struct{ model, backend, name string }{
	{"chargebyte Tarragon*", BackendSysfs, "yellow:programming"},
	{"I2SE Tarragon*", BackendSysfs, "evse:yellow:led2"},
	{"I2SE EVAcharge SE", BackendSysfs, "evse:yellow:led1"},
	{"Raspberry Pi*", BackendRPIO, ""},
}

// Board returns the backend of a board by its model, and the name of its LED
// where the backend is sysfs. An unknown board has none.
func Board(model string) (backend, name string) {
	for _, b := range boards {
		prefix, isPrefix := strings.CutSuffix(b.model, "*")
		if model == b.model || isPrefix && strings.HasPrefix(model, prefix) {
			return b.backend, b.name
		}
	}
	return BackendNone, ""
}

// Model returns the board's model as its device tree names it, empty where
// there is no device tree. root is where proc is, "" for the real one.
func Model(root string) string {
	return strings.TrimRight(property(root, "model"), "\x00")
}

// Serial returns the board's serial number as its device tree names it, empty
// where there is none. root is where proc is, "" for the real one.
func Serial(root string) string {
	return strings.TrimRight(property(root, "serial-number"), "\x00")
}

// property reads a property of the device tree's root node.
func property(root, name string) string {
	f, err := os.Open(below(root, "proc/device-tree", name))
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDeviceTree+1))
	if err != nil || len(b) > maxDeviceTree {
		return ""
	}
	return string(b)
}

// below joins a path below root, "" meaning /.
func below(root string, path ...string) string {
	if root == "" {
		root = "/"
	}
	return filepath.Join(append([]string{root}, path...)...)
}
