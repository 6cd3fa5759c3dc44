// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// light is a LED class directory as the kernel shows it, made of plain files,
// and somebody who looks at it.
type light struct{ dir string }

// newLight makes the tree below root for the LED name.
func newLight(root, name string) (light, error) {
	l := light{filepath.Join(root, "sys/class/leds", name)}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return l, err
	}
	for file, content := range map[string]string{
		"brightness": "0", "max_brightness": "1", "trigger": "none", "delay_on": "0", "delay_off": "0",
	} {
		if err := os.WriteFile(filepath.Join(l.dir, file), []byte(content), 0o644); err != nil {
			return l, err
		}
	}
	return l, nil
}

// state is what the eye sees at this moment; the kernel's timer trigger counts
// as a state of its own.
func (l light) state() string {
	if strings.HasPrefix(l.read("trigger"), "timer") {
		return fmt.Sprintf("blinking, %s ms on, %s ms off", l.read("delay_on"), l.read("delay_off"))
	}
	if strings.HasPrefix(l.read("brightness"), "1") {
		return "on"
	}
	return "off"
}

func (l light) read(file string) string {
	text, _ := os.ReadFile(filepath.Join(l.dir, file))
	return strings.TrimSpace(string(text))
}

// often is how often somebody who looks looks again.
const often = 5 * time.Millisecond

// held is how long a state must last to be one: two writes make a change.
const held = 20 * time.Millisecond

// watch calls tell with every new state until ctx ends.
func (l light) watch(ctx context.Context, tell func(string)) {
	told := l.state()
	seen, since := told, time.Now()
	for ctx.Err() == nil {
		time.Sleep(often)
		if now := l.state(); now != seen {
			seen, since = now, time.Now()
		} else if seen != told && time.Since(since) >= held {
			told = seen
			tell(told)
		}
	}
}

// code looks until it has seen one whole flash code and returns the number of
// flashes, or 0 where the LED stays as it is.
func (l light) code(ctx context.Context) int {
	const pause = 700 * time.Millisecond // between the breaks in a code (300 ms) and after it (1.5 s)
	var (
		flashes      int
		counting     bool
		before       = l.state()
		since, begin = time.Now(), time.Now()
	)
	for ctx.Err() == nil && time.Since(begin) < 12*time.Second {
		time.Sleep(often)
		now := l.state()
		lasted := time.Since(since)
		switch {
		case now == before && now == "off" && lasted > pause && !counting:
			counting, flashes = true, 0
		case now == before && now == "off" && lasted > pause && flashes > 0:
			return flashes
		case now == before && lasted > 3*time.Second:
			return 0
		case now != before:
			if now == "on" {
				flashes++
			}
			before, since = now, time.Now()
		}
	}
	return 0
}
