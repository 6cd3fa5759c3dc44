// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// dull are fields of the agent's log that a reader of the demonstration does
// not need.
var dull = []string{"device", "partition", "vendor", "model", "diskseq", "at_boot", "sha256", "fingerprint", "id", "signal", "code"}

var (
	fieldForm = regexp.MustCompile(` ([a-z0-9_]+)=("(?:[^"\\]|\\.)*"|[^ "]*)`)
	lineForm  = regexp.MustCompile(`^[0-9:.]+ [a-z]+ +(.*?)((?:` + fieldForm.String() + `)*)$`)
)

// event is a line of the agent's log, "TIME LEVEL MESSAGE KEY=VALUE…".
type event struct {
	who  string // "agent", or "script" for what the script wrote
	text string // for the reader
}

func parse(line string) event {
	match := lineForm.FindStringSubmatch(line)
	if match == nil {
		return event{who: "agent", text: line}
	}
	message := match[1]
	if said, ok := strings.CutPrefix(message+match[2], "usb-autorun: "); ok {
		return event{who: "script", text: said}
	}
	fields := make(map[string]string)
	var words []string
	for _, f := range fieldForm.FindAllStringSubmatch(match[2], -1) {
		key, value := f[1], f[2]
		if text, err := strconv.Unquote(value); err == nil {
			value = text
		}
		fields[key] = value
		if value != "" && !slices.Contains(dull, key) {
			words = append(words, key+" "+value)
		}
	}
	switch {
	case fields["step"] != "":
		message = strings.TrimSpace(fmt.Sprintf("%-8s %-8s %s  %s", fields["step"], fields["result"], fields["file"], fields["reason"]))
	case len(words) > 0:
		message += " (" + strings.Join(words, ", ") + ")"
	}
	return event{"agent", message}
}
