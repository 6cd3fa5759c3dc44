// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The names a stick is searched for, in its root directory only.
const (
	KeyringName     = "fwupdate-keyring.pem"
	ScriptName      = "autorun.sh"
	SignatureSuffix = ".p7s"
	ImageSuffix     = ".image"
)

// Limits of the search in a root directory.
const (
	// MaxEntries is the number of names in a root directory after which the
	// search gives up; counting them costs time, not memory.
	MaxEntries = 1_000_000
	// MaxImages is the number of *.image files on one file system above which
	// none of them is installed.
	MaxImages = 100
)

// pair is a file and its detached signature, by their names as stored on the
// stick; an empty name was not found.
type pair struct{ file, signature string }

func (p pair) absent() bool { return p.file == "" && p.signature == "" }

// half returns the name that is missing to complete the pair named name, or "".
func (p pair) half(name string) string {
	switch {
	case p.absent():
		return ""
	case p.file == "":
		return name
	case p.signature == "":
		return name + SignatureSuffix
	}
	return ""
}

// found is what the root directory of one file system holds for us.
type found struct {
	keyring, script pair
	images          []string // byte order of the names
	tooMany         bool     // more than MaxImages
	ambiguous       []string // names that differ from a wanted one, and from each other, only in case
}

// search collects the wanted names while a directory is listed. On file
// systems that fold case, a name spelled exactly wins over others; two others
// are ambiguous and neither is taken.
type search struct {
	fold   bool
	found  found
	images []string
}

func (s *search) add(name string) {
	if strings.HasPrefix(name, ".") {
		return // macOS leaves ._autorun.sh beside autorun.sh
	}
	s.want(name, KeyringName, &s.found.keyring.file)
	s.want(name, KeyringName+SignatureSuffix, &s.found.keyring.signature)
	s.want(name, ScriptName, &s.found.script.file)
	s.want(name, ScriptName+SignatureSuffix, &s.found.script.signature)
	if s.isImage(name) {
		if len(s.images) == MaxImages {
			s.found.tooMany = true
			return
		}
		s.images = append(s.images, name)
	}
}

func (s *search) want(name, wanted string, slot *string) {
	switch {
	case name == wanted:
		*slot = name
	case !s.fold || !equalFold(name, wanted) || *slot == wanted:
	case *slot != "":
		s.found.ambiguous = append(s.found.ambiguous, wanted)
	default:
		*slot = name
	}
}

func (s *search) isImage(name string) bool {
	if len(name) <= len(ImageSuffix) {
		return false
	}
	tail := name[len(name)-len(ImageSuffix):]
	return tail == ImageSuffix || s.fold && equalFold(tail, ImageSuffix)
}

// equalFold compares in ASCII without regard to case, which is what FAT,
// exFAT and NTFS do to the names we look for; no other letters fold.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// MaxShown is the length in bytes to which names and labels from a stick are
// cut in logs, status.json and on terminals.
const MaxShown = 255

// MaxMessage is the length in bytes to which whole messages, which may quote
// several names, are cut.
const MaxMessage = 4096

// Show makes a name from a stick safe for logs and terminals: every byte and
// rune that is not printable is escaped as in a Go string literal, and the
// length is bounded by MaxShown bytes.
func Show(name string) string { return escape(name, MaxShown, `\\`) }

// ShowMessage is Show for whole messages, up to MaxMessage bytes.
func ShowMessage(text string) string { return escape(text, MaxMessage, `\\`) }

// tame is for messages in which names went through Show already, and what
// others wrote (an installer, a hook) did not: as ShowMessage, but backslashes
// stay as they are.
func tame(text string) string { return escape(text, MaxMessage, `\`) }

func escape(text string, limit int, backslash string) string {
	var b strings.Builder
	for i := 0; i < len(text) && b.Len() <= limit; {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '\\':
			b.WriteString(backslash)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += size
	}
	if b.Len() <= limit {
		return b.String()
	}
	cut := limit - len("…")
	for !utf8.RuneStart(b.String()[cut]) {
		cut--
	}
	return b.String()[:cut] + "…"
}
