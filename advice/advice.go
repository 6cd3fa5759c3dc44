// SPDX-License-Identifier: GPL-3.0-or-later

// Package advice looks at the directory that is to become a stick, and finds
// what its maker has probably not meant: names that a board does not look at,
// line ends of another system, files in folders. "usbagent check" calls it
// beside the board's own verdict; the daemon never does.
//
// It decides nothing: with or without findings a board does what it does. It
// reads the directory of whoever asks, at his desk, within limits that keep it
// quick; names and content are data all the same, and callers escape them.
package advice

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Weight says how much a finding matters.
type Weight string

const (
	// Warning is a finding that probably makes the stick do other things than
	// its maker wants.
	Warning Weight = "warning"
	// Note is worth knowing and often right as it is.
	Note Weight = "note"
)

// Finding is one thing worth knowing.
type Finding struct {
	Weight  Weight `json:"weight"`
	File    string `json:"file,omitempty"` // as stored, not escaped; empty: the stick as a whole
	Message string `json:"message"`        // what was found
	Advice  string `json:"advice"`         // what to do about it
}

// Limits of the search for misplaced files.
const (
	// MaxDepth is how many folders deep it goes.
	MaxDepth = 3
	// MaxNames is how many names it looks at.
	MaxNames = 20_000
)

// The names that a board looks for in a root directory.
const (
	keyringName     = "fwupdate-keyring.pem"
	scriptName      = "autorun.sh"
	signatureSuffix = ".p7s"
	imageSuffix     = ".image"
)

var wanted = []string{keyringName, keyringName + signatureSuffix, scriptName, scriptName + signatureSuffix}

// maxFAT is the largest file that FAT can hold: 4 GiB less one byte.
const maxFAT = 1<<32 - 1

// Look returns what is worth knowing about a stick with this root directory,
// in a fixed order. fold is whether its file system compares names without
// regard to case. It returns an error only where the root directory cannot be
// listed.
func Look(root fs.FS, fold bool) ([]Finding, error) {
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		return nil, fmt.Errorf("list the root directory: %w", err)
	}
	l := looker{root: root, fold: fold, there: make(map[string]bool)}
	for _, e := range entries {
		l.there[e.Name()] = true
	}
	for _, e := range entries {
		l.entry(e)
	}
	l.images(entries)
	l.script()
	l.folders()
	if l.nothing(entries) {
		l.add(Warning, "", "nothing here is for a board", "put the files into the root directory of the stick, named "+
			scriptName+", "+keyringName+" (each with its "+signatureSuffix+") or *"+imageSuffix)
	}
	return l.findings, nil
}

type looker struct {
	root     fs.FS
	fold     bool
	there    map[string]bool
	findings []Finding
}

func (l *looker) add(w Weight, file, message, advice string) {
	l.findings = append(l.findings, Finding{w, file, message, advice})
}

// nothing reports whether no name is one that a board looks for.
func (l *looker) nothing(entries []fs.DirEntry) bool {
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			return false
		}
		return slices.ContainsFunc(wanted, func(w string) bool { return l.same(name, w) }) || l.isImage(name)
	})
}

// same compares as the stick's file system does.
func (l *looker) same(a, b string) bool { return a == b || l.fold && strings.EqualFold(a, b) }

func (l *looker) isImage(name string) bool {
	return len(name) > len(imageSuffix) && l.same(name[len(name)-len(imageSuffix):], imageSuffix)
}

// images looks at what a board would hand to the installer.
func (l *looker) images(entries []fs.DirEntry) {
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !l.isImage(e.Name()) {
			continue
		}
		names = append(names, e.Name())
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() > maxFAT {
			l.add(Note, e.Name(), "it is larger than 4 GiB, which FAT cannot hold", "format the stick as exFAT, NTFS or ext4")
		}
	}
	if len(names) > 1 {
		slices.Sort(names)
		l.add(Note, names[0], fmt.Sprintf("it is the first of %d images; the first one that fits the board and installs ends the list", len(names)),
			"keep one image for each kind of board")
	}
}

// folders looks for files that were meant for the root directory.
func (l *looker) folders() {
	seen := 0
	_ = fs.WalkDir(l.root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir
		}
		if seen++; seen > MaxNames {
			return fs.SkipAll
		}
		depth := strings.Count(name, "/")
		if e.IsDir() && (depth >= MaxDepth || name != "." && strings.HasPrefix(path.Base(name), ".")) {
			return fs.SkipDir
		}
		if depth > 0 && e.Type().IsRegular() && l.meant(path.Base(name)) {
			l.add(Warning, name, "it lies in a folder; a board looks at the root directory only", "move it up, beside no folder")
		}
		return nil
	})
}

// meant reports whether a name in a folder was meant for the board and has no
// namesake in the root directory.
func (l *looker) meant(name string) bool {
	return !l.there[name] && (slices.Contains(wanted, strings.ToLower(name)) || strings.HasSuffix(strings.ToLower(name), imageSuffix))
}
