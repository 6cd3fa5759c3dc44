// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"fmt"
	"time"

	"github.com/stianeikeland/go-rpio/v4"
)

// rpioPin is a LED on a GPIO of a Raspberry Pi, bright when the pin is high,
// switched by writing to the chip's registers.
type rpioPin struct{ pin rpio.Pin }

// mapRegisters is rpio.Open, which a test counts.
var mapRegisters = rpio.Open

// openRPIO refuses any other chip before it touches memory.
func openRPIO(root string, pin int) (driver, error) {
	if err := knownSoC(root); err != nil {
		return nil, err
	}
	if err := mapRegisters(); err != nil {
		return nil, fmt.Errorf("map the GPIO registers: %w", err)
	}
	p := rpioPin{rpio.Pin(pin)}
	p.pin.Low()
	p.pin.Output()
	return p, nil
}

func (p rpioPin) take() error { return nil }

func (p rpioPin) set(on bool) error {
	if on {
		p.pin.High()
	} else {
		p.pin.Low()
	}
	return nil
}

func (p rpioPin) blink(time.Duration, time.Duration) error { return errSoftware }

// close leaves the mapping to the end of the process: rpio.Close would write a
// snapshot of the interrupt controller, taken at Open, back to the hardware.
func (p rpioPin) close() error { return nil }
