// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/warthog618/go-gpiocdev/uapi"
)

// TestRPIORefusesOtherChips: no memory is mapped, let alone written, on
// anything but the chips that go-rpio knows.
func TestRPIORefusesOtherChips(t *testing.T) {
	mapped, real := 0, mapRegisters
	errMap := errors.New("no /dev/mem in this test")
	mapRegisters = func() error { mapped++; return errMap }
	defer func() { mapRegisters = real }()
	for name, root := range map[string]string{
		"Tarragon":              board(t, tarragon, tarragonIs),
		"Raspberry Pi 5":        board(t, "Raspberry Pi 5 Model B\x00", "raspberrypi,5-model-b\x00brcm,bcm2712\x00"),
		"a model name alone":    board(t, pi, ""),
		"longer name":           board(t, pi, "brcm,bcm28355\x00"),
		"two names run as one":  board(t, pi, "x,brcm,bcm2835\x00"),
		"a machine without one": t.TempDir(),
	} {
		l, err := Open(Options{Backend: BackendRPIO, Pin: 16, Root: root})
		if err == nil || !strings.Contains(err.Error(), "Raspberry Pi only") {
			t.Errorf("%s: %v", name, err)
		}
		l.Show(Pattern{Kind: On}) // tries again, and is refused again
		closeLED(t, l)
	}
	if mapped != 0 {
		t.Errorf("registers were mapped %d times", mapped)
	}
	for name, compatible := range map[string]string{
		"Pi Zero": "raspberrypi,model-zero\x00brcm,bcm2835\x00", "Pi 2": piIs,
		"Pi 3": "raspberrypi,3-model-b\x00brcm,bcm2837\x00", "Pi 4": "raspberrypi,4-model-b\x00brcm,bcm2711\x00",
	} {
		if _, err := openRPIO(board(t, pi, compatible), 16); !errors.Is(err, errMap) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGPIOChipThatIsNotThere(t *testing.T) {
	l, err := Open(Options{Backend: BackendGPIOChip, Chip: "gpiochip-usbagent-test", Line: 15})
	if err == nil || !strings.Contains(err.Error(), "gpiochip-usbagent-test") {
		t.Errorf("Open: %v", err)
	}
	l.Show(Pattern{Kind: Blink})
	closeLED(t, l)
}

// TestGPIORequests: both versions ask for one line, for output, dark, in our
// name. That the kernel takes them, the emulated board proves.
func TestGPIORequests(t *testing.T) {
	first, second := firstRequest(15), secondRequest(15)
	if first.Lines != 1 || first.Offsets[0] != 15 || first.Flags != uapi.HandleRequestOutput || first.DefaultValues[0] != 0 || uapi.BytesToString(first.Consumer[:]) != "usbagent" {
		t.Errorf("first version: %+v", first)
	}
	dark := uapi.LineConfigAttribute{Attr: uapi.LineAttribute{ID: uapi.LineAttributeIDOutputValues}, Mask: 1}
	if c := second.Config; second.Lines != 1 || second.Offsets[0] != 15 || c.Flags != uapi.LineFlagV2Output || c.NumAttrs != 1 || c.Attrs[0] != dark || uapi.BytesToString(second.Consumer[:]) != "usbagent" {
		t.Errorf("second version: %+v", second)
	}
}

// TestNoGPIOChip: nothing is asked of a device that the kernel does not list as a
// GPIO chip, nor of a link.
func TestNoGPIOChip(t *testing.T) {
	link := filepath.Join(t.TempDir(), "gpiochip0")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	for chip, want := range map[string]error{"null": errNoChip, "/dev/null": errNoChip, "/dev/../" + link: errNoChip, "/dev": fs.ErrNotExist, "none": fs.ErrNotExist} {
		if _, err := openGPIOChip(chip, 0); !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "line 0 of "+chip+": ") {
			t.Errorf("%s: %v, want %v", chip, err, want)
		}
	}
}
