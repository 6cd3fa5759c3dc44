// SPDX-License-Identifier: GPL-3.0-or-later

// Package largescript makes scripts of the largest size that boards take, the same on
// the board and beside it: what verification costs may depend on what they consist of.
package largescript

import (
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// Size is the size of each in bytes, which is autorun.max_size.
const Size = 64 << 20

// A Kind is one of them: head, then as much of body as there is room for, then foot.
type Kind struct {
	Name string // a word
	Text string // what it is, for people

	head string
	body func() io.Reader // endless
	foot string
}

const (
	begin     = "#!/bin/sh\n"
	directive = "# usbagent: run once\n"
)

// Kinds are all of them, the usual ones first. The others are what a parser of
// lines, or a search for a word, would rather not see.
var Kinds = []Kind{
	{"archive", "a script with an archive behind it", begin + "exit\n", random, ""},
	{"base64", "a script with a file in base64", begin + "base64 -d >/tmp/file <<E\n", base64Lines, "\nE\n"},
	{"zeros", "`#!/bin/sh` and zeros", begin, repeat("\x00"), ""},
	{"newlines", "`#!/bin/sh` and empty lines", begin, repeat("\n"), ""},
	{"comments", "`#!/bin/sh` and lines with a `#`", begin, repeat("#\n"), ""},
	{"hashes", "one line of `#`", "", repeat("#"), ""},
	{"word", "lines of the word that directives begin with", begin + "exit\n", repeat("usbagent\n"), ""},
	{"last", "lines with a `#`, and a directive at the end", "\n", repeat("#\n"), directive}, // head and foot are odd
}

// Find returns the kind of that name.
func Find(name string) (Kind, error) {
	for _, k := range Kinds {
		if k.Name == name {
			return k, nil
		}
	}
	return Kind{}, fmt.Errorf("no large script is called %q", name)
}

// Script reads the Size bytes of it.
func (k Kind) Script() io.Reader {
	body := io.LimitReader(k.body(), int64(Size-len(k.head)-len(k.foot)))
	return io.MultiReader(strings.NewReader(k.head), body, strings.NewReader(k.foot))
}

// random are bytes that are the same every time.
func random() io.Reader { return rand.NewChaCha8([32]byte{}) }

// repeat makes bodies of text again and again.
func repeat(text string) func() io.Reader {
	return func() io.Reader { return &repeated{make: func() string { return text }} }
}

// base64Lines are random bytes as base64(1) writes them.
func base64Lines() io.Reader {
	source, line := random(), make([]byte, 57)
	return &repeated{make: func() string {
		source.Read(line)
		return base64.StdEncoding.EncodeToString(line) + "\n"
	}}
}

// repeated reads what make makes each time.
type repeated struct {
	make func() string
	rest string
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.rest == "" {
			r.rest = r.make()
		}
		m := copy(p[n:], r.rest)
		n, r.rest = n+m, r.rest[m:]
	}
	return n, nil
}
