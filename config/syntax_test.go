// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// compareSyntax holds wrong to toml.Unmarshal: the same verdict, place and
// message, but for dates and times, which have one message.
func compareSyntax(t *testing.T, text []byte) {
	t.Helper()
	var all map[string]any
	err := toml.Unmarshal(text, &all)
	got := wrong(text)
	var want *toml.DecodeError
	switch {
	case err == nil && got == nil:
		return
	case err == nil || got == nil:
		t.Errorf("%q: %+v, want %v", text, got, err)
		return
	case !errors.As(err, &want):
		t.Fatalf("%q: %v", text, err)
	}
	row, column := want.Position()
	message := strings.TrimPrefix(want.Error(), "toml: ")
	if got.message == "this is no date or time" {
		message, column = got.message, got.at.column // its parts have places of their own
	}
	if got.at != (position{row, column}) || got.message != message {
		t.Errorf("%q:\n got %+v\nwant %d:%d %s", text, *got, row, column, message)
	}
}

// mistakes are texts that are no TOML, or nearly.
var mistakes = []string{
	"a = 1\na = 2", "a.b = 1\na.c = 2", "a.b = 1\na.b.c = 2", "a = 1\na.b = 2", "a.b = 1\na = 2", "[a]\n[a]", "[a.b]\n[a]", "[a]\n[a.b]\n[a]",
	"[a]\nb = 1\n[a.b]", "[a]\nb.c = 1\n[a.b]", "[a]\nb.c = 1\n[a.b.c]", "[a]\nb.c = 1\n[a.b.d]", "a = 1\n[a]", "a = 1\n[a.b]", "a = 1\n[[a]]", "[a]\n[[a]]", "a.b = 1\n[[a]]",
	"[[a]]\nb = 1\n[[a]]\nb = 1", "[[a]]\n[a.b]\n[[a]]\n[a.b]", "[[a]]\n[a.b]\n[a.b]", "[[a]]\n[a]", "[[a]]\n[[a.b]]\n[a.b]", "[[a.b]]\n[a]\n[a]", "[a]\n[[a.b]]\n[a.b.c]\n[a.b.c]",
	"a = {b = 1, b = 2}", "a = {b.c = 1, b.c = 2}", "a = {b.c = 1, b = 2}", "a = {b = 1}\na.c = 2", "a = {b = 1}\n[a]", "a = {b = 1}\n[a.c]", "a = [{b = 1, b = 2}]", "a = [[{b = {c = 1, c = 2}}]]",
	"a = [{b = 1}, {b = 1}]", "x = {}\ny = []\nx.z = 1", "\"a.b\" = 1\na.b = 2", "a = {b = {}, \"b\" = 1}",
	"a = 9223372036854775807", "a = 9223372036854775808", "a = -9223372036854775808", "a = -9223372036854775809", "a = +1_000", "a = 0x7fffffffffffffff", "a = 0x8000000000000000",
	"a = 0x7FFF_ffff_ffff_ffff", "a = 0o777777777777777777777", "a = 0o1000000000000000000000", "a = 0b1" + strings.Repeat("0", 62), "a = 0b1" + strings.Repeat("0", 63), "a = 01", "a = 1__0", "a = 0x", "a = -0x1",
	"a = 1e308", "a = 1e999", "a = -1_0.0_1e+1_0", "a = inf", "a = -inf", "a = nan", "a = +nan", "a = -nan", "a = 1.", "a = .5", "a = 1e", "a = [1e999, 99999999999999999999]", "a = {b = 1e999}",
	"a = 1979-05-27", "a = 1979-02-29", "a = 2000-02-29", "a = 1900-02-29", "a = 1979-13-01", "a = 1979-00-01", "a = 1979-01-00", "a = 0000-01-01", "a = 1979-05-27T07:32", "a = 1979-05-27T07:32:00Z",
	"a = 1979-05-27 07:32:00.5-07:00", "a = 1979-05-27t24:00:00", "a = 1979-05-27T07:60:00", "a = 1979-05-27T07:32:60", "a = 1979-05-27T07:32:00+24:00", "a = 1979-05-27T07:32:00+23:60", "a = 1979-05-27T07:32:00.",
	"a = 1979-05-27T07:32:00.Z", "a = 1979-05-27T07:32:00ZZ", "a = 1979-05-27T07:32:00+0700", "a = 1979-05-27T", "a = 1979-05-2", "a = 1979-05-271", "a = 07:32:00", "a = 07:32", "a = 07:3", "a = 24:00:00", "a = 07:32:00.999999999999",
	"a = 07:32:00Z", "a = 07:32:0", "a = 07:32.5", "a = [1979-05-27, 1979-13-27]", "a = 1979-05-27T07:32:00 1", "a = 1979-05-27Z", "a = 1979-05-27+01:00", "a = 1979-05-27T07:32Z", "a = 1979-05-27T07:32:5Z",
	"", "\n\n", "=", "a", "a =", "a = ", "[", "[a", "[a]x", "[[a]", "[]", "a = [", "a = [1", "a = {", "a = {b", "a = \"", "a = '''", "a = \"\\q\"", "a = tru", "a = 1 2", "\r", "a = 1\r", "# \x00", "a = \"\x00\"", "\xff", "a = \"\xff\"",
	"a.\"b\" = 1\n\"a\".b = 2", "\ta = 1\n\t a = 2", "[ a . b ]\n[a.b]", "a = 1 # x\n  [ a ] # y",
}

func TestSyntax(t *testing.T) {
	texts := seeds(t)
	for _, text := range mistakes {
		texts = append(texts, []byte(text))
	}
	random := rand.New(rand.NewPCG(1, 2))
	const others = "ab=.[]{}\"'#,\n \t019-+:_TZxe"
	for _, text := range texts {
		compareSyntax(t, text)
		for range 200 {
			b := bytes.Clone(text)
			for range 1 + random.IntN(3) {
				at, c := random.IntN(len(b)+1), others[random.IntN(len(others))]
				switch {
				case at == len(b) || random.IntN(3) == 0:
					b = append(b[:at], append([]byte{c}, b[at:]...)...)
				case random.IntN(2) == 0:
					b[at] = c
				default:
					b = append(b[:at], b[at+1:]...)
				}
			}
			compareSyntax(t, b)
		}
	}
}

// FuzzSyntax compares texts that nobody thought of.
func FuzzSyntax(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	for _, text := range mistakes {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { compareSyntax(t, text) })
}
