// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"runtime"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Colours as terminals know them (ECMA-48, select graphic rendition).
const (
	noColour = ""
	red      = "31"
	green    = "32"
	yellow   = "33"
	bold     = "1"
)

// colourful is whether the standard output is a terminal that may be coloured.
// The old Windows console shows escape sequences as they are.
var colourful = term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" &&
	(runtime.GOOS != "windows" || os.Getenv("WT_SESSION") != "")

// paint colours text where that makes sense.
func paint(colour, text string) string {
	if !colourful || colour == noColour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func stateColour(state string) string {
	switch state {
	case "failed":
		return red
	case "processing", "installing":
		return yellow
	}
	return noColour
}

func resultColour(result string) string {
	switch result {
	case "refused", "failed":
		return red
	case "done", "ok":
		return green
	case "warning":
		return yellow
	}
	return noColour
}

// writeTable writes rows as indented, aligned columns; the last column is not
// padded. colour, which may be nil, colours the column with the given number.
func writeTable(b *strings.Builder, rows [][]string, coloured int, colour func(string) string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
			if i == coloured && colour != nil {
				cell = paint(colour(cell), cell)
			}
			line.WriteString(cell + padding)
		}
		b.WriteString("  " + strings.TrimRight(line.String(), " ") + "\n")
	}
}
