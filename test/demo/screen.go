// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// screen writes what the reader sees: chapters, remarks, and a line for each
// thing that happens, with the seconds since the stick was plugged in. Several
// goroutines may write.
type screen struct {
	mu      sync.Mutex
	colour  bool
	chapter int
	zero    time.Time // when the stick was plugged in
}

func newScreen() *screen {
	return &screen{
		colour: term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "",
		zero:   time.Now(),
	}
}

// title begins a chapter.
func (s *screen) title(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chapter++
	fmt.Printf("\n%s\n", s.paint("1", fmt.Sprintf("%d. %s", s.chapter, text)))
}

// say writes a remark.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Printf("   %s\n", fmt.Sprintf(format, args...))
}

// plugged starts the clock of what happens.
func (s *screen) plugged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zero = time.Now()
}

// Colours of those who speak.
var colours = map[string]string{"LED": "33", "agent": "36", "script": "35", "rauc": "34", "board": "1", "keyring": "32"}

// happens writes one thing that who did or said.
func (s *screen) happens(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	fmt.Printf("   %6.2f s  %s %s\n", time.Since(s.zero).Seconds(), s.paint(colours[who], fmt.Sprintf("%-8s", who)), text)
}

func (s *screen) paint(colour, text string) string {
	if !s.colour || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
