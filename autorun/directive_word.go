// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// splitWords splits the text of a directive at blanks. A word, or a part of
// it, may stand between double quotes, within which `\"` and `\\` mean a quote
// and a backslash. What is wrong with it is returned as failure.
func splitWords(text string) (words []string, failure string) {
	if !utf8.ValidString(text) {
		return nil, "it is not UTF-8"
	}
	for _, r := range text {
		if r != '\t' && !unicode.IsPrint(r) {
			return nil, fmt.Sprintf("the character %U in it cannot be seen", r)
		}
	}
	for {
		text = strings.TrimLeft(text, " \t")
		if text == "" {
			return words, ""
		}
		word, rest, failure := cutWord(text)
		if failure != "" {
			return nil, failure
		}
		words, text = append(words, word), rest
	}
}

// cutWord takes the first word off text, which does not begin with a blank.
func cutWord(text string) (word, rest, failure string) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\'):
			i++
			b.WriteByte(text[i])
		case c == '\\':
			return "", "", `a backslash counts only between quotes, as \" or \\`
		case (c == ' ' || c == '\t') && !quoted:
			return b.String(), text[i:], ""
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", "a quote without its end"
	}
	return b.String(), "", ""
}

// quoteWord writes a word so that splitWords gives it back.
func quoteWord(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\"\\") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// CheckPath returns nil when path may name a payload file: relative to the
// root of the stick, with slashes, without "." and "..", and not the script
// itself.
func CheckPath(path string) error {
	switch {
	case len(path) > MaxFilePath:
		return fmt.Errorf("a path of %d bytes, more than %d", len(path), MaxFilePath)
	case strings.Contains(path, `\`):
		return fmt.Errorf("path %q: folders are separated by slashes", short(path))
	case foldASCII(path) == ScriptName:
		return errors.New("the script need not name itself")
	case !utf8.ValidString(path) || strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("path %q: a character that cannot be seen", short(path))
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf(`path %q: it is relative to the root of the stick, without "." and ".."`, short(path))
		}
	}
	return nil
}

func parseSum(text string, sum *[32]byte) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == len(sum) && copy(sum[:], b) == len(sum)
}

// exactVersion parses "X.Y", nothing else.
func exactVersion(text string) (Version, bool) {
	v, err := ParseVersion(text)
	return v, err == nil && v.String() == text
}

// ParseVersion returns the first two numbers of a version such as
// "1.4.2-3-gabc"; what follows them does not count.
func ParseVersion(text string) (v Version, err error) {
	major, rest, dot := strings.Cut(text, ".")
	minor := rest
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		minor = rest[:end]
	}
	if v.Major, err = number(major); err == nil {
		v.Minor, err = number(minor)
	}
	if err != nil || !dot {
		return Version{}, fmt.Errorf("version %q: not of the form X.Y", short(text))
	}
	return v, nil
}

// number parses up to six digits.
func number(text string) (int, error) {
	if len(text) > 6 || strings.TrimLeft(text, "0123456789") != "" {
		return 0, errors.New("no number")
	}
	return strconv.Atoi(text)
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// AtLeast reports whether v is w or later.
func (v Version) AtLeast(w Version) bool {
	return v.Major > w.Major || v.Major == w.Major && v.Minor >= w.Minor
}

// FitsModel reports whether the board's model fits the target.
func (t *Target) FitsModel(model string) bool {
	for _, glob := range t.Models {
		if fits(glob, model) {
			return true
		}
	}
	return len(t.Models) == 0
}

// FitsSerial reports whether the board's serial number fits the target.
func (t *Target) FitsSerial(serial string) bool {
	for _, s := range t.Serials {
		if s == serial {
			return true
		}
	}
	return len(t.Serials) == 0
}

// fits matches text against a glob of "*" and "?", in time bounded by the
// product of their lengths.
func fits(glob, text string) bool {
	g, s := []rune(glob), []rune(text)
	i, j := 0, 0
	star, mark := -1, 0
	for j < len(s) {
		switch {
		case i < len(g) && g[i] == '*':
			star, mark = i, j
			i++
		case i < len(g) && (g[i] == '?' || g[i] == s[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(g) && g[i] == '*' {
		i++
	}
	return i == len(g)
}
