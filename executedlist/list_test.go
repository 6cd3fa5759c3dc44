// SPDX-License-Identifier: GPL-3.0-or-later

package executedlist

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"usbagent/internal/durable"
	"usbagent/test/corpus"
	"usbagent/test/need"
)

var (
	a, b = md5.Sum([]byte("a")), md5.Sum([]byte("b"))
	hexA = fmt.Sprintf("%x", a)
	hexB = fmt.Sprintf("%x", b)
)

func newList(t testing.TB) (*List, string) {
	path := filepath.Join(t.TempDir(), "usb-autorun", "executed.list")
	return Open(path, true), path // where the tests run may be a tmpfs
}

func contains(t testing.TB, l *List, sum [16]byte) bool {
	t.Helper()
	ok, err := l.Contains(sum)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestAppend(t *testing.T) {
	l, path := newList(t)
	if contains(t, l, a) {
		t.Error("a list that does not exist contains a sum")
	}
	for _, sum := range [][16]byte{a, b} {
		if err := l.Append(sum); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := os.ReadFile(path); string(got) != hexA+"\n"+hexB+"\n" {
		t.Errorf("list is %q", got)
	}
	if !contains(t, l, a) || !contains(t, l, b) {
		t.Error("what was added is not there")
	}
	file, _ := os.Stat(path)
	dir, _ := os.Stat(filepath.Dir(path))
	if file.Mode().Perm() != 0o644 || dir.Mode().Perm() != 0o755 {
		t.Errorf("modes %v and %v", file.Mode(), dir.Mode())
	}
}

// TestFormats: what boards have today, and what power cuts and editors make of it.
func TestFormats(t *testing.T) {
	upper := strings.ToUpper(hexA)
	both, one, none := [][16]byte{a, b}, [][16]byte{a}, [][16]byte(nil)
	tests := map[string]struct {
		text string
		want [][16]byte
	}{
		"plain":                  {hexA + "\n" + hexB + "\n", both},
		"no final newline":       {hexA + "\n" + hexB, both},
		"md5sum":                 {hexA + "  autorun.sh\n" + hexB + "  /media/x y/autorun.sh\n", both},
		"md5sum binary":          {hexA + " *autorun.sh\n" + hexB + "\n", both},
		"md5sum escaped":         {"\\" + hexA + "  a\\nb\n" + hexB + "\n", both},
		"tab":                    {hexA + "\tautorun.sh\n", one},
		"upper case":             {upper + "\n" + hexB + "\n", both},
		"CRLF":                   {hexA + "\r\n" + hexB + "\r\n", both},
		"CR":                     {hexA + "\r" + hexB, both},
		"blank lines":            {"\n\n" + hexA + "\n \n\n" + hexB + "\n\n", both},
		"byte order mark":        {"\xef\xbb\xbf" + hexA + "\r\n", one},
		"leading space":          {"  " + hexA + "\n", one},
		"zeros at the end":       {hexA + "\n" + strings.Repeat("\x00", 4000), one},
		"zeros, then a line":     {hexA + "\n" + strings.Repeat("\x00", 4000) + hexB + "\n", both},
		"zeros instead of a sum": {strings.Repeat("\x00", 33) + "\n" + hexB + "\n", [][16]byte{b}},
		"cut line, then a line":  {hexA[:20] + "\n" + hexB + "\n", [][16]byte{b}},
		"empty":                  {"", none},
		"too short":              {hexA[:31] + "\n", none},
		"too long":               {hexA + "0\n", none},
		"SHA-256":                {hexA + hexB + "\n", none},
		"no hex":                 {"g" + hexA[1:] + "\n", none},
		"in the middle":          {"MD5 (x) = " + hexA + "\n", none},
		"commented out":          {"#" + hexA + "\n", none},
		"endless line":           {strings.Repeat("x", 1<<20) + hexA + "\n" + hexB, [][16]byte{b}},
		"sum, then endless":      {hexA + " " + strings.Repeat("x", 1<<20) + "\n" + hexB, both},
	}
	for name, tt := range tests {
		got, err := Parse(strings.NewReader(tt.text))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %x, %v; want %x", name, got, err, tt.want)
		}
		l, path := newList(t)
		os.Mkdir(filepath.Dir(path), 0o755)
		os.WriteFile(path, []byte(tt.text), 0o644)
		sum := md5.Sum([]byte("new"))
		if err := l.Append(sum); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f, _ := os.Open(path)
		if got, err := Parse(f); err != nil || !reflect.DeepEqual(got, append(tt.want[:len(tt.want):len(tt.want)], sum)) {
			t.Errorf("%s, after Append: %x, %v", name, got, err)
		}
		f.Close()
	}
}

func TestMD5SumWritesAList(t *testing.T) {
	need.Tool(t, "md5sum")
	// its real output is in testdata/seeds/md5sum.list
	f, err := os.Open("testdata/seeds/md5sum.list")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := Parse(f); err != nil || len(got) != 4 {
		t.Errorf("%x, %v; want four sums", got, err)
	}
}

// TestScriptEditsTheList: the script may do so at any time.
func TestScriptEditsTheList(t *testing.T) {
	l, path := newList(t)
	l.Append(a)
	l.Append(b)
	os.WriteFile(path, []byte(hexB), 0o644) // by an editor that forgets the newline
	if contains(t, l, a) || !contains(t, l, b) {
		t.Error("the edit is not seen")
	}
	if err := l.Append(a); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != hexB+"\n"+hexA+"\n" {
		t.Errorf("list is %q", got)
	}
	os.RemoveAll(filepath.Dir(path))
	if contains(t, l, a) {
		t.Error("a deleted list contains a sum")
	}
	if err := l.Append(a); err != nil || !contains(t, l, a) {
		t.Errorf("after deletion: %v", err)
	}
}

func TestWritersDoNotMix(t *testing.T) {
	l, path := newList(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 5 {
				if err := l.Append(md5.Sum(fmt.Append(nil, i, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	data, _ := os.ReadFile(path)
	if got, _ := Parse(bytes.NewReader(data)); len(got) != 40 || len(data) != 40*33 {
		t.Errorf("%d sums in %d bytes", len(got), len(data))
	}
}

// large is a list with lines sums and b, which stands last and unended.
func large(tb testing.TB, lines int) *List {
	l, path := newList(tb)
	l.Append(a)
	var text bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&text, "%x\n", md5.Sum(fmt.Append(nil, i)))
	}
	text.WriteString(hexB)
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		tb.Fatal(err)
	}
	return l
}

// TestLargeList: a hundred times as many lines take no more memory.
func TestLargeList(t *testing.T) {
	for _, lines := range []int{1_000, 100_000} {
		l := large(t, lines)
		if !contains(t, l, b) || contains(t, l, a) {
			t.Error("wrong answer")
		}
		if allocs := testing.AllocsPerRun(1, func() { l.Contains(b) }); allocs > 100 {
			t.Errorf("%d lines: %v allocations", lines, allocs)
		}
	}
}

func BenchmarkContains(b *testing.B) {
	for _, lines := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprint(lines, " lines"), func(bb *testing.B) {
			l := large(bb, lines)
			for bb.Loop() {
				if _, err := l.Contains(a); err != nil {
					bb.Fatal(err)
				}
			}
		})
	}
}

func TestLimit(t *testing.T) {
	l, path := newList(t)
	l.Append(a)
	if err := os.Truncate(path, MaxFileSize-lineSize); err != nil {
		t.Fatal(err)
	}
	if !contains(t, l, a) {
		t.Error("as large as may be")
	}
	os.Truncate(path, MaxFileSize-lineSize+1)
	if _, err := l.Contains(a); !errors.Is(err, durable.ErrTooLarge) {
		t.Errorf("Contains: %v", err)
	}
	if err := l.Append(b); !errors.Is(err, durable.ErrTooLarge) {
		t.Errorf("Append: %v", err)
	}
	if _, err := Parse(zeros{}); !errors.Is(err, durable.ErrTooLarge) {
		t.Errorf("Parse of an endless list: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// FuzzParse: no list makes Parse fail or find what is not there, and a sum
// that is added to it is found, without any other being lost.
func FuzzParse(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before, err := Parse(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, sum := range before {
			if !bytes.Contains(bytes.ToLower(text), fmt.Appendf(nil, "%x", sum)) {
				t.Errorf("%x is not in the list", sum)
			}
		}
		path := filepath.Join(t.TempDir(), "list")
		os.WriteFile(path, text, 0o600)
		file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := addLine(file, a); err != nil {
			t.Fatal(err)
		}
		if _, err := file.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		after, err := Parse(file)
		if err != nil || !reflect.DeepEqual(after, append(before, a)) {
			t.Errorf("before %x, after %x, %v", before, after, err)
		}
	})
}

func seeds(tb testing.TB) [][]byte { return corpus.Files(tb, "testdata/seeds/*.list", 6) }

// TestTakeBackTouchesNobodyElsesLine: when somebody else has written meanwhile,
// everything stays.
func TestTakeBackTouchesNobodyElsesLine(t *testing.T) {
	line := []byte(hexA + "\n")
	for text, want := range map[string]string{
		hexB + "\n" + hexA + "\n":               hexB + "\n",
		hexB + "\n" + hexA[:7]:                  hexB + "\n",
		hexB + "\n":                             hexB + "\n",
		hexB + "\n" + hexB + "\n":               hexB + "\n" + hexB + "\n",
		hexB + "\n" + hexA + "\n" + hexB + "\n": hexB + "\n" + hexA + "\n" + hexB + "\n",
	} {
		path := filepath.Join(t.TempDir(), "list")
		os.WriteFile(path, []byte(text), 0o600)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		takeBack(f, 33, line)
		f.Close()
		if got, _ := os.ReadFile(path); string(got) != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
