// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// reader turns one text into a Config and the list of its mistakes.
type reader struct {
	file     string
	config   Config
	problems []Problem
	seen     map[string]bool // keys that the file sets, well or badly
	lost     bool            // something could not be read and nobody knows what it was
}

// read is Check and Load in one: Check turns any problem into an error.
func read(file string, text []byte) (Config, []Problem) {
	r := &reader{file: file, config: Default(), seen: map[string]bool{}}
	if len(text) > MaxFileSize {
		r.report(position{}, "", fmt.Sprintf("the file is larger than %d bytes%s", MaxFileSize, lostMessage))
		lost(&r.config, nil)
		return r.config, r.problems
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	text, broken := mend(text)
	entries := walk(text)
	for _, e := range entries {
		r.take(e)
	}
	for _, b := range broken { // after the good ones: a broken line has the last, strict, word
		r.takeBroken(b)
	}
	if r.lost {
		lost(&r.config, r.seen)
	}
	r.cross(entries)
	sort.SliceStable(r.problems, func(i, j int) bool { return r.problems[i].Line < r.problems[j].Line })
	return r.config, r.problems
}

func (r *reader) report(at position, key, message string) {
	if len(r.problems) < MaxProblems {
		r.problems = append(r.problems, Problem{r.file, at.line, at.column, key, message})
	}
}

// take sets one key.
func (r *reader) take(e entry) {
	if table, name, _ := strings.Cut(e.name, "."); table == unreadableTable {
		r.takeBroken(broken{at: e.at, message: "the [header] above is no TOML, so it is not known which table this is in", keys: called(name)})
		return
	}
	k := find(e.name)
	if k == nil {
		r.report(e.at, bounded(e.name), "unknown key"+suggestion(e.name))
		return
	}
	r.seen[k.name] = true
	if err := k.set(&r.config, e.value); err != nil {
		r.close(k, e.value)
		r.report(e.at, k.name, err.Error()+r.instead(k))
	}
}

// takeBroken treats a line that is no TOML as a bad value of the keys it may
// have meant.
func (r *reader) takeBroken(b broken) {
	if b.header {
		r.report(b.at, "", b.message)
		return
	}
	if len(b.keys) == 0 {
		r.lost = true
		r.report(b.at, "", b.message+lostMessage)
		return
	}
	for _, k := range b.keys {
		r.seen[k.name] = true
		r.close(k, value{})
		r.report(b.at, k.name, b.message+r.instead(k))
	}
}

// close gives k the value that stands for one that cannot be used.
func (r *reader) close(k *key, v value) {
	if k.strict != nil {
		k.strict(&r.config, v)
		return
	}
	d := Default()
	k.restore(&r.config, &d)
}

func (r *reader) instead(k *key) string {
	return "; the daemon uses " + k.show(&r.config)
}

// cross checks what only two keys together can get wrong.
func (r *reader) cross(entries []entry) {
	at := func(name string) position {
		for _, e := range entries {
			if e.name == name {
				return e.at
			}
		}
		return position{}
	}
	c := &r.config
	if c.Installer.Backend == "command" && !slices.ContainsFunc(c.Installer.Command, func(a string) bool { return strings.Contains(a, imagePlace) }) {
		c.Installer.Backend = "none"
		r.report(at("installer.backend"), "installer.backend", `"command" needs installer.command with an argument that contains `+imagePlace+`; the daemon uses "none"`)
	}
	if c.LED.Backend == "gpiochip" && c.LED.Chip == "" {
		c.LED.Backend = "auto"
		r.report(at("led.backend"), "led.backend", `"gpiochip" needs led.chip; the daemon uses "auto"`)
	}
	if c.LED.Backend == "rpio" && c.LED.Pin == 0 {
		c.LED.Backend = "auto"
		r.report(at("led.backend"), "led.backend", `"rpio" needs led.pin; the daemon uses "auto"`)
	}
}

// lost sets what must be closed when a part of the file, or all of it, could
// not be read and does not set it in a readable place.
func lost(c *Config, seen map[string]bool) {
	for i := range keys {
		if k := &keys[i]; k.whenLost && !seen[k.name] {
			k.strict(c, value{})
		}
	}
}
