// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"fmt"
	"time"

	"github.com/warthog618/go-gpiocdev"
)

// gpioConsumer is how gpioinfo shows who holds the line.
const gpioConsumer = "usbagent"

// gpioLine is a LED on a line of a GPIO character device, bright when the line
// is high. A line that a kernel driver holds (leds-gpio) is busy: that LED is
// one for sysfs.
type gpioLine struct{ line *gpiocdev.Line }

func openGPIOChip(chip string, offset int) (driver, error) {
	line, err := gpiocdev.RequestLine(chip, offset, gpiocdev.AsOutput(0), gpiocdev.WithConsumer(gpioConsumer))
	if err != nil {
		return nil, fmt.Errorf("line %d of %s: %w", offset, chip, err)
	}
	return gpioLine{line}, nil
}

func (g gpioLine) take() error { return nil }

func (g gpioLine) set(on bool) error {
	value := 0
	if on {
		value = 1
	}
	return g.line.SetValue(value)
}

func (g gpioLine) blink(time.Duration, time.Duration) error { return errSoftware }

func (g gpioLine) close() error { return g.line.Close() }
