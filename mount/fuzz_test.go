// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"usbagent/test/corpus"
)

// FuzzProbe: whatever the device holds, Probe ends, reads within its budget,
// says the same twice, and gives a sane superblock or one of its errors.
func FuzzProbe(f *testing.F) {
	for _, seed := range corpus.Files(f, "testdata/probe/*", len(images)) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, size := parseSparse(b)
		c := &counter{sparse: r}
		s, err := Probe(c, size)
		if c.read > MaxProbeBytes {
			t.Errorf("%d bytes read", c.read)
		}
		again, errAgain := Probe(r, size)
		if s != again || (err == nil) != (errAgain == nil) {
			t.Errorf("first %+v %v, then %+v %v", s, err, again, errAgain)
		}
		if err != nil {
			var pe *ProbeError
			if !errors.As(err, &pe) && !errors.Is(err, ErrNone) && !errors.Is(err, ErrPartitionTable) && !errors.Is(err, errBudget) {
				t.Errorf("unexpected error: %v", err)
			}
			return
		}
		if s.Size <= 0 || !s.FoldCase() && s.Size > size || len(s.Label) > MaxLabel || !utf8.ValidString(s.Label) || !utf8.ValidString(s.MountOptions) {
			t.Errorf("%+v on %d bytes", s, size)
		}
	})
}

type counter struct {
	*sparse
	read int
}

func (c *counter) ReadAt(b []byte, off int64) (int, error) {
	c.read += len(b)
	return c.sparse.ReadAt(b, off)
}

var labels = []string{
	"", "STICK", "My Stick", "Größe", "Ключ 🔑", "$(reboot)", "`reboot`", ";reboot;", "a'b\"c", "a\\b", "../etc/rauc", "/", "//", ".", "..", "...",
	".hidden", "-rf", " lead", "trail ", "trail.", "new\nline", "\x1b[31mred\x1b[0m", "\x00", "a\x00b", "\xff\xfe", "_", "___", "\u202egnp.exe", "\u2028", "\ufeff",
	"lost+found", "a/b", "a:b", "a|b", "a*b?", "e\u0301", strings.Repeat("x", 500), strings.Repeat("ü", 100), strings.Repeat(" ", 100), strings.Repeat(".", 100), "con", "%s%n",
}

// FuzzSafeName: whatever the label, the name is one harmless component.
func FuzzSafeName(f *testing.F) {
	for _, label := range labels {
		f.Add(label, "sda1")
		f.Add("", label)
	}
	f.Fuzz(func(t *testing.T, label, fallback string) {
		name := SafeName(label, fallback)
		harmless(t, name)
		if again := SafeName(name, fallback); again != name {
			t.Errorf("%q becomes %q, and that %q", label, name, again)
		}
	})
}

func harmless(t *testing.T, name string) {
	t.Helper()
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) || strings.TrimSpace(name) != name {
		t.Errorf("name %q", name)
	}
	if strings.ContainsAny(name, "/\\'\"`$;&|<>*?!#~{}%:\n\r\t\x00\x7f") || name[0] == '.' || name[0] == '-' || filepath.Base(name) != name {
		t.Errorf("name %q", name)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) && !unicode.Is(unicode.Mn, r) {
			t.Errorf("name %q: %U", name, r)
		}
	}
}

func TestSafeName(t *testing.T) {
	for _, c := range []struct{ label, fallback, want string }{
		{"STICK", "sda1", "STICK"},
		{"", "sda1", "sda1"},
		{"My Stick", "sda1", "My Stick"},
		{"Größe", "sda1", "Größe"},
		{"../etc/rauc", "sda1", "_._etc_rauc"},
		{"..", "sda1", "sda1"},
		{".hidden", "sda1", "_hidden"},
		{"-rf", "sda1", "_rf"},
		{"$(reboot)", "sda1", "_(reboot)"},
		{"a'b\"c`d", "sda1", "a_b_c_d"},
		{"new\nline", "sda1", "new_line"},
		{"\xff\xfe", "sda1", "sda1"},
		{"///", "sda1", "sda1"},
		{"  ", "sda1", "sda1"},
		{"", "", "stick"},
		{"/", "..", "stick"},
		{strings.Repeat("x", 500), "sda1", strings.Repeat("x", MaxName)},
		{strings.Repeat("ü", 100), "sda1", strings.Repeat("ü", MaxName/2)},
	} {
		if got := SafeName(c.label, c.fallback); got != c.want {
			t.Errorf("SafeName(%q, %q) = %q, want %q", c.label, c.fallback, got, c.want)
		}
		harmless(t, SafeName(c.label, c.fallback))
	}
}
