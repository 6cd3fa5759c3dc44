// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// MaxScriptSize bounds autorun.max_size, in bytes: a script is held in the
// memory of a board that has 512 MB.
const MaxScriptSize = 256 << 20

// MaxListItems is how many items a list may have.
const MaxListItems = 64

// maxText is how many bytes of the file are repeated in a message, and how
// long a string may be.
const maxText = 1024

type duration = time.Duration

func boolean(v value) (bool, error) {
	if v.kind != unstable.Bool {
		return false, fmt.Errorf("%s is neither true nor false", v)
	}
	return v.text == "true", nil
}

func text(v value) (string, error) {
	if v.kind != unstable.String {
		return "", fmt.Errorf("%s is no string in quotes", v)
	}
	if len(v.text) > maxText {
		return "", fmt.Errorf("the string is longer than %d bytes", maxText)
	}
	if !utf8.ValidString(v.text) || strings.ContainsFunc(v.text, unicode.IsControl) {
		return "", fmt.Errorf("%s has control characters", v)
	}
	return v.text, nil
}

func oneOf(words ...string) func(value) (string, error) {
	return func(v value) (string, error) {
		s, err := text(v)
		if err == nil && !slices.Contains(words, s) {
			err = fmt.Errorf("%s is none of %s", v, strings.Join(words, ", "))
		}
		return s, err
	}
}

// listOf takes a list of at least least items.
func listOf(least int, item func(value) (string, error)) func(value) ([]string, error) {
	return func(v value) ([]string, error) {
		if v.kind != unstable.Array {
			return nil, fmt.Errorf("%s is no list in square brackets", v)
		}
		if len(v.list) < least || len(v.list) > MaxListItems {
			return nil, fmt.Errorf("the list has %d items, not %d to %d", len(v.list), least, MaxListItems)
		}
		list := make([]string, 0, len(v.list))
		for _, x := range v.list {
			s, err := item(x)
			if err != nil {
				return nil, err
			}
			list = append(list, s)
		}
		return list, nil
	}
}

// file takes an absolute path of something that is not the root directory.
func file(v value) (string, error) {
	s, err := text(v)
	switch {
	case err != nil:
		return "", err
	case !strings.HasPrefix(s, "/"):
		return "", fmt.Errorf("%s is no absolute path", v)
	case s == "/" || path.Clean(s) != s:
		return "", fmt.Errorf("%s is no plain path (no . or .., no empty part, no slash at the end)", v)
	}
	return s, nil
}

// directory is file, with a slash at the end forgiven.
func directory(v value) (string, error) {
	if len(v.text) > 1 {
		v.text = strings.TrimSuffix(v.text, "/")
	}
	return file(v)
}

// fileName takes the name of one directory entry.
func fileName(v value) (string, error) {
	s, err := text(v)
	if err == nil && (strings.Contains(s, "/") || s == "." || s == ".." || len(s) > 255) {
		err = fmt.Errorf("%s is no file name", v)
	}
	return s, err
}

// chip takes "gpiochip0" or "/dev/gpiochip0".
func chip(v value) (string, error) {
	name, err := text(v)
	if err == nil {
		_, err = fileName(value{kind: v.kind, text: strings.TrimPrefix(name, "/dev/")})
	}
	return name, err
}

// argument takes one argument of a command.
func argument(v value) (string, error) {
	s, err := text(v)
	if err == nil && s == "" {
		err = fmt.Errorf("%s is no argument of a command", v)
	}
	return s, err
}

// optional takes an empty string too.
func optional(item func(value) (string, error)) func(value) (string, error) {
	return func(v value) (string, error) {
		if v.kind == unstable.String && v.text == "" {
			return "", nil
		}
		return item(v)
	}
}

// fingerprint takes a SHA-256 in hex, as openssl writes it (colons, upper
// case) or bare, and returns 64 lower-case digits.
func fingerprint(v value) (string, error) {
	s, err := text(v)
	if err != nil {
		return "", err
	}
	sum, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(sum) != 32 {
		return "", fmt.Errorf("%s is no SHA-256 fingerprint (64 hex digits)", v)
	}
	return hex.EncodeToString(sum), nil
}

// mask takes permission bits as an octal string.
func mask(v value) (uint32, error) {
	s, err := text(v)
	if err != nil {
		return 0, fmt.Errorf(`%s is no octal string such as "0022"`, v)
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("%s is no octal mask from 0 to 0777", v)
	}
	return uint32(n), nil
}

var units = []struct {
	name string
	size int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

// size takes bytes as "64MiB" or as a number.
func size(v value) (int64, error) {
	digits, factor := v.text, int64(1)
	switch v.kind {
	case unstable.Integer:
	case unstable.String:
		for _, u := range units {
			if rest, ok := strings.CutSuffix(v.text, u.name); ok {
				digits, factor = strings.TrimSuffix(rest, " "), u.size
				break
			}
		}
	default:
		return 0, fmt.Errorf(`%s is no size such as "64MiB"`, v)
	}
	n, err := strconv.ParseUint(digits, 10, 40)
	if err != nil {
		return 0, fmt.Errorf(`%s is no size such as "64MiB"`, v)
	}
	if n == 0 || int64(n) > MaxScriptSize/factor {
		return 0, fmt.Errorf("%s is not between 1 B and %s", v, showSize(MaxScriptSize))
	}
	return int64(n) * factor, nil
}

// period takes a duration as "90s" or "1h30m".
func period(v value) (duration, error) {
	s, err := text(v)
	if err != nil {
		return 0, fmt.Errorf(`%s is no duration such as "90s"`, v)
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf(`%s is no duration such as "90s" or "1h30m"`, v)
	}
	return d, nil
}

func integer(least, most int) func(value) (int, error) {
	return func(v value) (int, error) {
		n, err := strconv.Atoi(v.text)
		if v.kind != unstable.Integer || err != nil || n < least || n > most {
			return 0, fmt.Errorf("%s is no number from %d to %d", v, least, most)
		}
		return n, nil
	}
}

// String is v as it may stand in a message.
func (v value) String() string {
	switch v.kind {
	case unstable.String:
		return strconv.Quote(bounded(v.text))
	case unstable.Array:
		return "this list"
	}
	return bounded(v.text)
}

// bounded makes s fit for a message: short, on one line, printable.
func bounded(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	}
	return s
}

func showBool(b bool) string       { return strconv.FormatBool(b) }
func showInt(n int) string         { return strconv.Itoa(n) }
func showString(s string) string   { return strconv.Quote(s) }
func showMask(m uint32) string     { return fmt.Sprintf(`"%04o"`, m) }
func showPeriod(d duration) string { return strconv.Quote(d.String()) }

func showSize(n int64) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf(`"%dMiB"`, n>>20)
	}
	return strconv.FormatInt(n, 10)
}

func showList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
