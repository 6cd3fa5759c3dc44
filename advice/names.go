// SPDX-License-Identifier: GPL-3.0-or-later

package advice

import (
	"io/fs"
	"slices"
	"strings"

	"usbagent/internal/spelling"
)

// entry looks at one name of the root directory.
func (l *looker) entry(e fs.DirEntry) {
	name := e.Name()
	lower := strings.ToLower(name)
	switch {
	case strings.HasPrefix(name, "._"):
		if rest := strings.TrimPrefix(lower, "._"); slices.Contains(wanted, rest) || strings.HasSuffix(rest, imageSuffix) {
			l.add(Note, name, "macOS left it; a board never looks at names that start with a dot", "nothing, or delete it")
		}
	case strings.HasPrefix(name, ".") || e.IsDir():
	case slices.ContainsFunc(wanted, func(w string) bool { return l.same(name, w) }) || l.isImage(name):
	default:
		l.stranger(name, lower)
	}
}

// stranger looks at the name of a file that a board does not look at.
func (l *looker) stranger(name, lower string) {
	if slices.Contains(wanted, lower) || strings.HasSuffix(lower, imageSuffix) {
		l.add(Warning, name, "upper and lower case count on this file system", "rename it to "+lower)
		return
	}
	for _, ending := range []string{".raucb", ".img"} {
		if base, ok := strings.CutSuffix(lower, ending); ok {
			l.add(Warning, name, "only *"+imageSuffix+" is handed to the installer", "rename it to "+base+imageSuffix+", if it is a RAUC bundle")
			return
		}
	}
	if meant := l.misspelt(lower); meant != "" {
		message, advice := "a board looks for "+meant+", not for this", "rename it to "+meant
		if strings.HasSuffix(lower, ".txt") {
			message += "; Windows hides the ending .txt"
			advice += " (show file name extensions first)"
		}
		l.add(Warning, name, message, advice)
	}
}

// misspelt returns the wanted name that a name was probably meant to be, one
// that is not there already, or "".
func (l *looker) misspelt(name string) string {
	base := strings.TrimSuffix(name, ".txt")
	for _, twice := range []string{".p7s", ".sh", ".pem"} {
		if strings.HasSuffix(base, twice+twice) {
			base = strings.TrimSuffix(base, twice)
		}
	}
	if strings.HasSuffix(base, imageSuffix) {
		return base
	}
	best, distance := "", spelling.Near+1
	for _, w := range wanted {
		if l.there[w] {
			continue
		}
		if d := spelling.Distance(base, w); d < distance {
			best, distance = w, d
		}
	}
	if best == "" {
		best = l.alias(base)
	}
	return best
}

// aliases are names that say the same in other words.
var aliases = map[string][]string{
	scriptName + signatureSuffix:  {"autorun.p7s", "autorun.sh.sig", "autorun.sh.p7b", "autorun.sh.p7m", "autorun.sh.der"},
	keyringName + signatureSuffix: {"fwupdate-keyring.p7s", "fwupdate-keyring.pem.sig"},
	keyringName:                   {"fwupdate-keyring.crt", "fwupdate-keyring.cer", "keyring.pem"},
}

func (l *looker) alias(name string) string {
	for _, w := range wanted {
		if !l.there[w] && slices.Contains(aliases[w], name) {
			return w
		}
	}
	return ""
}
