// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Options say which LED it is; the fields are those of [led] in the
// configuration.
type Options struct {
	Backend string // BackendAuto if empty
	Name    string // of the LED class device
	Chip    string // of the GPIO character device: gpiochip3 or /dev/gpiochip3
	Line    int    // of that chip
	Pin     int    // BCM number of the GPIO on a Raspberry Pi; 0: none
	Root    string // where sys and proc are; "" for the real ones

	// OnError is told the first failure after Open, from the LED's goroutine.
	OnError func(error)
}

// Open returns the LED that the options or the board's model name. The LED can
// always be used: with an error, which says why nothing will be seen, each
// Show tries again to reach it, except where the options make no sense.
func Open(o Options) (*LED, error) {
	open, err := o.choose()
	if err != nil {
		return start(dark{}, nil, nil, true), fmt.Errorf("open LED: %w", err)
	}
	drv, err := open()
	if err != nil {
		return start(nil, open, o.OnError, true), fmt.Errorf("open LED: %w", err)
	}
	return start(drv, open, o.OnError, false), nil
}

// choose returns what opens the LED. What is configured by name counts more
// than the board table.
func (o Options) choose() (func() (driver, error), error) {
	backend, name := o.resolve()
	switch backend {
	case BackendNone:
		return func() (driver, error) { return dark{}, nil }, nil
	case BackendSysfs:
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return nil, fmt.Errorf("led.name %.64q is no name of a LED", name)
		}
		return func() (driver, error) { return openSysfs(o.Root, name) }, nil
	case BackendGPIOChip:
		if o.Chip == "" || o.Line < 0 {
			return nil, errors.New("led.chip and led.line must name a GPIO line")
		}
		return func() (driver, error) { return openGPIOChip(o.Chip, o.Line) }, nil
	case BackendRPIO:
		if o.Pin <= 0 || o.Pin > maxPin {
			return nil, fmt.Errorf("led.pin %d is no GPIO of a Raspberry Pi", o.Pin)
		}
		return func() (driver, error) { return openRPIO(o.Root, o.Pin) }, nil
	}
	return nil, fmt.Errorf("led.backend %.32q is unknown", backend)
}

// resolve turns BackendAuto into a backend, and completes the LED's name.
func (o Options) resolve() (backend, name string) {
	board, boardName := Board(Model(o.Root))
	auto := o.Backend == "" || o.Backend == BackendAuto
	switch {
	case auto && o.Name != "":
		return BackendSysfs, o.Name
	case auto && o.Chip != "":
		return BackendGPIOChip, ""
	case auto && board == BackendRPIO && o.Pin == 0:
		return BackendNone, ""
	case auto:
		return board, boardName
	case o.Name != "":
		return o.Backend, o.Name
	}
	return o.Backend, boardName
}

// dark is the LED of a board without one.
type dark struct{}

func (dark) take() error                              { return nil }
func (dark) set(bool) error                           { return nil }
func (dark) blink(time.Duration, time.Duration) error { return nil }
func (dark) close() error                             { return nil }
