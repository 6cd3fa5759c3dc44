// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// tree makes a directory tree like that of the LED class, below a new root.
func tree(t testing.TB, name string, attributes map[string]string) (root, dir string) {
	t.Helper()
	root = t.TempDir()
	dir = filepath.Join(root, "sys/class/leds", name)
	for attribute, value := range attributes {
		put(t, filepath.Join(dir, attribute), value)
	}
	return root, dir
}

func put(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// contents returns what a directory's files hold.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name()] = string(b)
	}
	return all
}

// writer is a LED's files.
type writer func(attribute, value string) error

func (w writer) write(attribute, value string) error { return w(attribute, value) }
func (w writer) close() error                        { return nil }

// fullTree is a LED with the timer trigger and its two files.
func fullTree() map[string]string {
	return map[string]string{"brightness": "0\n", "max_brightness": "255\n", "trigger": "[none] timer heartbeat\n", "delay_on": "500\n", "delay_off": "500\n"}
}

func TestSysfsTreeShowsThePattern(t *testing.T) {
	root, dir := tree(t, "yellow:programming", fullTree())
	l, err := Open(Options{Backend: BackendSysfs, Name: "yellow:programming", Root: root})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		show Pattern
		want string
	}{
		{Pattern{Kind: On}, "brightness=255 trigger=none"},
		{Pattern{Kind: Blink}, "trigger=timer delay_on=250 delay_off=250"},
		{Pattern{}, "brightness=0 trigger=none"},
	} {
		l.Show(c.show)
		eventually(t, func() bool {
			has := contents(t, dir)
			for pair := range strings.FieldsSeq(c.want) {
				if attribute, value, _ := strings.Cut(pair, "="); has[attribute] != value {
					return false
				}
			}
			return true
		}, c.show.String()+" never showed "+c.want)
	}
	l.Show(Pattern{Kind: On})
	closeLED(t, l)
	if has := contents(t, dir); has["brightness"] != "0" || has["trigger"] != "none" || len(has) != 5 {
		t.Errorf("after Close: %v", has)
	}
}

// TestSysfsWithoutTimerFallsBack: a tree without the blink times is one whose
// timer trigger does not work; the light changes all the same.
func TestSysfsWithoutTimerFallsBack(t *testing.T) {
	root, dir := tree(t, "x", map[string]string{"brightness": "0", "max_brightness": "1"})
	l, err := Open(Options{Backend: BackendSysfs, Name: "x", Root: root, OnError: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	l.Show(Pattern{Kind: Blink})
	for _, want := range []string{"1", "0", "1"} {
		eventually(t, func() bool { return contents(t, dir)["brightness"] == want }, "brightness never "+want)
	}
	closeLED(t, l)
	if has := contents(t, dir); len(has) != 2 || has["brightness"] != "0" {
		t.Errorf("files were made: %v", has)
	}
}

func TestSysfsOrderOfWrites(t *testing.T) {
	// kernel answers like a LED whose driver has no timer trigger, if told so.
	for name, c := range map[string]struct {
		noTimer bool
		want    []string
	}{
		"timer": {false, []string{
			"trigger=none", "brightness=255", // On
			"trigger=timer", "delay_on=250", "delay_off=250", // Blink
			"trigger=none", "brightness=255", // On: a brightness alone would not stop the blinking
			"trigger=timer", "delay_on=250", "delay_off=250",
			"trigger=none", "brightness=0"}}, // Off
		"no timer": {true, []string{
			"trigger=none", "brightness=255",
			"trigger=timer", "trigger=none", "brightness=255", "brightness=0", "brightness=255", // refused, in software
			"trigger=none", "brightness=255",
			"trigger=timer", "trigger=none", "brightness=255", "brightness=0", "brightness=255",
			"trigger=none", "brightness=0"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var writes []string
				s := &sysfs{full: "255", files: writer(func(attribute, value string) error {
					writes = append(writes, attribute+"="+value)
					if c.noTimer && value == "timer" {
						return &fs.PathError{Op: "write", Path: "trigger", Err: syscall.EINVAL}
					}
					return nil
				})}
				l := start(s, nil, func(err error) { t.Error(err) }, false)
				for _, k := range []Kind{On, Blink, On, Blink, Off} {
					l.Show(Pattern{Kind: k})
					time.Sleep(600 * ms)
					synctest.Wait()
				}
				if !slices.Equal(writes, c.want) {
					t.Errorf("got  %q\nwant %q", writes, c.want)
				}
				closeLED(t, l)
			})
		})
	}
}

func TestMissingLEDIsReportedAndHarmless(t *testing.T) {
	root := t.TempDir()
	l, err := Open(Options{Backend: BackendSysfs, Name: "gone", Root: root, OnError: func(err error) { t.Errorf("told twice: %v", err) }})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "gone") {
		t.Errorf("Open: %v", err)
	}
	for _, p := range []Pattern{{Kind: On}, {Kind: Blink}, {Kind: Code, N: 4}, {}} {
		l.Show(p)
	}
	closeLED(t, l)
	if _, err := os.Stat(filepath.Join(root, "sys")); err == nil {
		t.Error("a LED was made up")
	}
}

func TestLEDNamesStayInTheirDirectory(t *testing.T) {
	for _, name := range []string{"..", ".", "../../etc", "a/b", "a\x00b"} {
		l, err := Open(Options{Backend: BackendSysfs, Name: name, Root: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), "led.name") {
			t.Errorf("%q: %v", name, err)
		}
		l.Show(Pattern{Kind: On})
		closeLED(t, l)
	}
}

func TestFullBrightness(t *testing.T) {
	for content, want := range map[string]string{"1\n": "1", "255\n": "255", "0\n": "255", "": "255", "x\n": "255", "-3\n": "255"} {
		_, dir := tree(t, "x", map[string]string{"max_brightness": content})
		if got := fullBrightness(dir); got != want {
			t.Errorf("%q: %s, want %s", content, got, want)
		}
	}
}

// eventually waits for a goroutine to do its work; the limit is only there to
// end a broken test.
func eventually(t *testing.T, ok func() bool, otherwise string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(ms) {
		if time.Now().After(end) {
			t.Fatal(otherwise)
		}
	}
}

func BenchmarkShow(b *testing.B) {
	root, _ := tree(b, "x", fullTree())
	l, err := Open(Options{Backend: BackendSysfs, Name: "x", Root: root})
	if err != nil {
		b.Fatal(err)
	}
	patterns := []Pattern{{Kind: On}, {}}
	for i := 0; b.Loop(); i++ {
		l.Show(patterns[i%2])
	}
}
