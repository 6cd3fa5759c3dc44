// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"testing"
)

// TestLineEnds: what is hashed in place of content that does not fit, told line by
// line.
func TestLineEnds(t *testing.T) {
	returns := regexp.MustCompile(`\r+(\n|$)`)
	words := []string{"\n", "\r", "\r\n", "a", "some text", "\r\r", ""}
	random := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		var content []byte
		for range random.IntN(12) {
			content = append(content, words[random.IntN(len(words))]...)
		}
		switch random.IntN(100) {
		case 0:
			content = bytes.Repeat(content, 3000)
		case 1, 2, 3: // around what is written in one piece
			content = append(bytes.Repeat([]byte("x"), block-3+random.IntN(6)), content...)
			content = append(content, bytes.Repeat([]byte("y"), 2*block-3+random.IntN(6))...)
		}
		var text, unix written
		writeText(&text, content)
		if want := bytes.ReplaceAll(returns.ReplaceAll(content, []byte("$1")), []byte("\n"), []byte("\r\n")); !bytes.Equal(text, want) {
			t.Fatalf("%q as text: %q, want %q", content, text, want)
		}
		writeUnix(&unix, content)
		if want := bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")); !bytes.Equal(unix, want) {
			t.Fatalf("%q without CRLF: %q, want %q", content, unix, want)
		}
	}
}

// written keeps what was written to it.
type written []byte

func (w *written) Write(p []byte) (int, error) { *w = append(*w, p...); return len(p), nil }

func (w *written) Sum([]byte) []byte { return *w }
