// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"strings"
	"sync"

	"usbagent/internal/systembus"
)

// D-Bus names of RAUC (RAUC reference manual, "D-Bus API").
const (
	raucName      = "de.pengutronix.rauc"
	raucPath      = "/"
	raucInterface = "de.pengutronix.rauc.Installer"
	properties    = "org.freedesktop.DBus.Properties"
)

// MaxProgressMessage is where a progress message is cut, in bytes.
const MaxProgressMessage = 256

// maxResults is how many results of Completed are kept that nobody has looked
// at yet; older ones are dropped.
const maxResults = 32

// watch takes in signals as they come, in the connection's own goroutine, so
// that none is lost and none waits. It keeps the latest of what may come any
// number of times, so that a flood costs no memory.
type watch struct {
	mu       sync.Mutex
	owner    string // only its signals count; "" for none yet
	gone     bool   // the owner has left the bus
	results  []int32
	moved    bool // progress changed since it was last taken
	percent  int
	message  string
	changed  chan struct{} // has one element when there is something to take
	ignored  int           // signals of others
	progress int           // signals with progress
}

func newWatch() *watch { return &watch{changed: make(chan struct{}, 1)} }

// pin makes the signals of owner count from now on, and no others.
func (w *watch) pin(owner string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owner = owner
}

// deliver takes in one signal. The sender is what the bus says, which nobody can
// forge.
func (w *watch) deliver(s *systembus.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case s.Sender == systembus.Bus.Name && s.Name == "org.freedesktop.DBus.NameOwnerChanged":
		w.nameOwner(s.Body)
	case s.Sender != w.owner || w.owner == "" || s.Path != raucPath:
		w.ignored++
		return
	case s.Name == raucInterface+".Completed":
		w.completed(s.Body)
	case s.Name == properties+".PropertiesChanged":
		w.property(s.Body)
	}
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *watch) nameOwner(body []any) {
	var name, before, after string
	if systembus.Store(body, &name, &before, &after) == nil && name == w.owner && after == "" {
		w.gone = true
	}
}

func (w *watch) completed(body []any) {
	var result int32
	if systembus.Store(body, &result) != nil {
		return
	}
	if len(w.results) == maxResults {
		w.results = append(w.results[:0], w.results[1:]...)
	}
	w.results = append(w.results, result)
}

func (w *watch) property(body []any) {
	var of string
	var changed map[string]any
	var invalidated []any
	if systembus.Store(body, &of, &changed, &invalidated) != nil || of != raucInterface {
		return
	}
	var percent, depth int32
	var message string
	if progress, ok := changed["Progress"].(systembus.Struct); !ok || systembus.Store(progress, &percent, &message, &depth) != nil {
		return
	}
	w.progress++
	w.moved, w.percent, w.message = true, min(max(int(percent), 0), 100), cut(message, MaxProgressMessage)
}

// seen is what a watch has taken in.
type seen struct {
	gone    bool
	results []int32
	moved   bool
	percent int
	message string
}

// take returns what came since it was last called.
func (w *watch) take() seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := seen{gone: w.gone, results: w.results, moved: w.moved, percent: w.percent, message: w.message}
	w.results, w.moved = nil, false
	return s
}

// cut shortens text to at most n bytes of valid UTF-8.
func cut(text string, n int) string {
	if len(text) > n {
		text = text[:n]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
