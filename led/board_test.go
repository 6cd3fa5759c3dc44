// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestBoard(t *testing.T) {
	for model, want := range map[string][2]string{
		"chargebyte Tarragon Master":     {BackendSysfs, "yellow:programming"},
		"chargebyte Tarragon":            {BackendSysfs, "yellow:programming"},
		"I2SE Tarragon Slave":            {BackendSysfs, "evse:yellow:led2"},
		"I2SE EVAcharge SE":              {BackendSysfs, "evse:yellow:led1"},
		"I2SE EVAcharge SE 2":            {BackendNone, ""},
		"Raspberry Pi 4 Model B Rev 1.4": {BackendRPIO, ""},
		"My chargebyte Tarragon":         {BackendNone, ""},
		"":                               {BackendNone, ""},
	} {
		if backend, name := Board(model); backend != want[0] || name != want[1] {
			t.Errorf("%q: %s %q, want %v", model, backend, name, want)
		}
	}
}

// board makes a root with a device tree.
func board(t *testing.T, model, compatible string) string {
	t.Helper()
	root := t.TempDir()
	put(t, filepath.Join(root, "proc/device-tree/model"), model)
	put(t, filepath.Join(root, "proc/device-tree/compatible"), compatible)
	return root
}

const (
	tarragon   = "chargebyte Tarragon Master\x00"
	tarragonIs = "chargebyte,imx6ull-tarragon-master\x00fsl,imx6ull\x00"
	pi         = "Raspberry Pi 2 Model B\x00"
	piIs       = "raspberrypi,2-model-b\x00brcm,bcm2836\x00"
)

func TestModel(t *testing.T) {
	if got := Model(board(t, tarragon, tarragonIs)); got != "chargebyte Tarragon Master" {
		t.Errorf("got %q", got)
	}
	long := strings.Repeat("x", maxDeviceTree)
	if got := Model(board(t, long, "")); got != long {
		t.Errorf("%d bytes of %d", len(got), maxDeviceTree)
	}
	if got := Model(board(t, long+"x", "")); got != "" {
		t.Errorf("a model of %d bytes was taken", len(got))
	}
	if got := Model(t.TempDir()); got != "" {
		t.Errorf("no device tree: %q", got)
	}
}

func TestSerial(t *testing.T) {
	root := board(t, tarragon, tarragonIs)
	if got := Serial(root); got != "" {
		t.Errorf("a board without a serial number has %q", got)
	}
	put(t, filepath.Join(root, "proc/device-tree/serial-number"), "CB2345678\x00")
	if got := Serial(root); got != "CB2345678" {
		t.Errorf("got %q", got)
	}
}

func TestBackendOfOptions(t *testing.T) {
	onTarragon, onPi, onPC := board(t, tarragon, tarragonIs), board(t, pi, piIs), t.TempDir()
	for _, c := range []struct {
		name    string
		options Options
		backend string
		led     string
	}{
		{"the board's own", Options{Root: onTarragon}, BackendSysfs, "yellow:programming"},
		{"auto spelled out", Options{Backend: "auto", Root: onTarragon}, BackendSysfs, "yellow:programming"},
		{"sysfs, name from the table", Options{Backend: "sysfs", Root: onTarragon}, BackendSysfs, "yellow:programming"},
		{"a name overrides the table", Options{Name: "green:x", Root: onTarragon}, BackendSysfs, "green:x"},
		{"a name on an unknown board", Options{Name: "green:x", Root: onPC}, BackendSysfs, "green:x"},
		{"a line on an unknown board", Options{Chip: "gpiochip0", Line: 3, Root: onPC}, BackendGPIOChip, ""},
		{"none overrides the table", Options{Backend: "none", Root: onTarragon}, BackendNone, "yellow:programming"},
		{"Raspberry Pi without a pin", Options{Root: onPi}, BackendNone, ""},
		{"Raspberry Pi with a pin", Options{Root: onPi, Pin: 16}, BackendRPIO, ""},
		{"a pin is nothing to a Tarragon", Options{Root: onTarragon, Pin: 16}, BackendSysfs, "yellow:programming"},
		{"unknown board", Options{Root: onPC}, BackendNone, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if backend, led := c.options.resolve(); backend != c.backend || led != c.led {
				t.Errorf("%s %q, want %s %q", backend, led, c.backend, c.led)
			}
		})
	}
}

func TestOptionsWithoutMeaning(t *testing.T) {
	for _, o := range []Options{
		{Backend: "laser"}, {Backend: BackendSysfs, Root: t.TempDir()}, {Backend: BackendGPIOChip}, {Backend: BackendGPIOChip, Chip: "gpiochip0", Line: -1},
		{Backend: BackendRPIO}, {Backend: BackendRPIO, Pin: maxPin + 1},
	} {
		l, err := Open(o)
		if err == nil {
			t.Errorf("%+v: no error", o)
		}
		l.Show(Pattern{Kind: On})
		closeLED(t, l)
	}
}

func TestBoardWithoutLED(t *testing.T) {
	l, err := Open(Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Pattern{{Kind: On}, {Kind: Blink}, {Kind: Code, N: 2}, {}} {
		l.Show(p)
	}
	closeLED(t, l)
}
