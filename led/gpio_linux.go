// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/warthog618/go-gpiocdev/uapi"
	"golang.org/x/sys/unix"
)

// gpioConsumer is how gpioinfo shows who holds the line.
const gpioConsumer = "usbagent"

// gpioLine is a LED on a line of a GPIO character device, bright when the line
// is high. A line that a kernel driver holds (leds-gpio) is busy: that LED is
// one for sysfs. Kernels have two versions of the interface, the second from
// Linux 5.10 on (linux/gpio.h).
type gpioLine struct {
	fd    uintptr // of the line, held until it is closed
	first bool    // by the first version
}

func openGPIOChip(chip string, offset int) (driver, error) {
	line, err := requestLine(chip, offset)
	if err != nil {
		return nil, fmt.Errorf("line %d of %s: %w", offset, chip, err)
	}
	return line, nil
}

// requestLine takes the line for output, dark.
func requestLine(chip string, offset int) (line gpioLine, err error) {
	path := chip
	if !strings.HasPrefix(path, "/dev/") {
		path = "/dev/" + chip
	}
	if err := isGPIOChip(path); err != nil {
		return line, err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return line, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	device := uintptr(fd)
	info, err := uapi.GetChipInfo(device)
	if err != nil {
		return line, err
	}
	if offset < 0 || uint32(offset) >= info.Lines {
		return line, fmt.Errorf("the chip has only %d lines", info.Lines)
	}
	if _, err := uapi.GetLineInfoV2(device, offset); err != nil {
		request := firstRequest(offset)
		err := uapi.GetLineHandle(device, &request)
		return gpioLine{uintptr(request.Fd), true}, err
	}
	request := secondRequest(offset)
	err = uapi.GetLine(device, &request)
	return gpioLine{uintptr(request.Fd), false}, err
}

// firstRequest asks for one line, by the first version of the interface.
func firstRequest(offset int) uapi.HandleRequest {
	r := uapi.HandleRequest{Lines: 1, Flags: uapi.HandleRequestOutput}
	r.Offsets[0] = uint32(offset)
	copy(r.Consumer[:len(r.Consumer)-1], gpioConsumer)
	return r
}

// secondRequest asks for one line, by the second version.
func secondRequest(offset int) uapi.LineRequest {
	r := uapi.LineRequest{Lines: 1}
	r.Offsets[0] = uint32(offset)
	copy(r.Consumer[:len(r.Consumer)-1], gpioConsumer)
	r.Config.Flags = uapi.LineFlagV2Output
	r.Config.NumAttrs = 1
	r.Config.Attrs[0] = uapi.LineConfigAttribute{Attr: uapi.OutputValues(0).Encode(), Mask: 1}
	return r
}

var errNoChip = errors.New("not a GPIO character device")

// isGPIOChip refuses what the kernel does not list as a GPIO chip: to another
// device the same requests may mean anything.
func isGPIOChip(path string) error {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	number, err := os.ReadFile(filepath.Join("/sys/bus/gpio/devices", filepath.Base(path), "dev"))
	device := fmt.Sprintf("%d:%d", unix.Major(uint64(stat.Rdev)), unix.Minor(uint64(stat.Rdev)))
	if err != nil || stat.Mode&unix.S_IFMT != unix.S_IFCHR || strings.TrimSpace(string(number)) != device {
		return errNoChip
	}
	return nil
}

func (g gpioLine) take() error { return nil }

func (g gpioLine) set(on bool) error {
	value := 0
	if on {
		value = 1
	}
	if g.first {
		return uapi.SetLineValues(g.fd, uapi.HandleData{uint8(value)})
	}
	return uapi.SetLineValuesV2(g.fd, uapi.LineValues{Mask: 1, Bits: uapi.NewLineBitmap(value)})
}

func (g gpioLine) blink(time.Duration, time.Duration) error { return errSoftware }

func (g gpioLine) close() error { return unix.Close(int(g.fd)) }
