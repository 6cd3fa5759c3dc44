// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// sysfs is a LED of the kernel's LED class (Documentation/leds/leds-class.rst
// and ledtrig-timer.c of the kernel).
//
// The order of writes matters. A brightness of 0 removes the trigger, but
// another brightness does not stop the timer trigger: so the trigger goes
// first. The files of the blink times are there only while the timer trigger
// is active.
type sysfs struct {
	files interface {
		write(attribute, value string) error
		close() error
	}
	full string // max_brightness
}

func openSysfs(root, name string) (driver, error) {
	dir := below(root, "sys/class/leds", name)
	if _, err := os.Stat(dir + "/brightness"); err != nil {
		return nil, err
	}
	return &sysfs{full: fullBrightness(dir), files: &attributes{dir: dir}}, nil
}

// fullBrightness is what the LED calls its brightest, 255 where it does not
// say: the kernel takes too much for the most there is.
func fullBrightness(dir string) string {
	text, err := os.ReadFile(dir + "/max_brightness")
	value := strings.TrimSpace(string(text))
	if n, bad := strconv.ParseUint(value, 10, 32); err != nil || bad != nil || n == 0 {
		return "255"
	}
	return value
}

// take ends the trigger. A kernel without triggers has no file for them.
func (s *sysfs) take() error {
	err := s.files.write("trigger", "none")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *sysfs) set(on bool) error {
	if on {
		return s.files.write("brightness", s.full)
	}
	return s.files.write("brightness", "0")
}

// blink has the timer trigger blink, which goes on when this process dies.
// Without that trigger the kernel answers EINVAL.
func (s *sysfs) blink(on, off time.Duration) error {
	for _, w := range [][2]string{
		{"trigger", "timer"}, {"delay_on", milliseconds(on)}, {"delay_off", milliseconds(off)},
	} {
		if err := s.files.write(w[0], w[1]); err != nil {
			return errors.Join(errSoftware, err)
		}
	}
	return nil
}

func (s *sysfs) close() error { return s.files.close() }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
