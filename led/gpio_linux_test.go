// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"errors"
	"strings"
	"testing"
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
