// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package verdict

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const payload = "what the script vouches for\n"

// vouch is the directive about a file with this content.
func vouch(path, content string) string {
	return fmt.Sprintf("# usbagent: file %q sha256=%x size=%d\n", path, sha256.Sum256([]byte(content)), len(content))
}

// saying is a script with these lines at its beginning, by the vendor.
func saying(lines string) func(*world, string) {
	return signed(scriptName, vendor, text("#!/bin/sh\n"+lines+"exit 0\n"))
}

func within(name string, more func(*world, string)) func(*world, string) {
	return func(w *world, dir string) {
		dir = filepath.Join(dir, name)
		check(w.t, os.MkdirAll(dir, 0o755))
		more(w, dir)
	}
}

// good is a script with its file.
var vouching = then(saying(vouch("config", payload)), put("config", payload))

var directives = []struct {
	kind
	result string // of the script
}{
	{kind{"good", vouching}, "done"},
	{kind{"swapped", then(vouching, put("config", strings.ToUpper(payload)))}, "refused"},
	{kind{"missing", then(vouching, remove("config"))}, "refused"},
	{kind{"larger", then(vouching, grow("config", "x"))}, "refused"},
	{kind{"smaller", then(vouching, put("config", ""))}, "refused"},
	{kind{"link", then(vouching, moved("config"))}, "refused"},
	{kind{"FIFO", then(then(vouching, remove("config")), fifo("config"))}, "refused"},
	{kind{"a folder", then(then(vouching, remove("config")), folder("config"))}, "refused"},
	{kind{"empty file", then(saying(vouch("config", "")), put("config", ""))}, "done"},
	{kind{"in a folder", then(saying(vouch("a/b c/config", payload)), within("a/b c", put("config", payload)))}, "done"},
	{kind{"folder link", then(then(saying(vouch("a/config", payload)), within("a", put("config", payload))), moved("a"))}, "refused"},
	{kind{"file for a folder", then(saying(vouch("config/x", payload)), put("config", payload))}, "refused"},
	{kind{"other case", then(saying(vouch("Config", payload)), put("config", payload))}, "refused"},
	{kind{"second of two", then(saying(vouch("config", payload)+vouch("other", payload)), put("config", payload))}, "refused"},
	{kind{"two wrong", saying(vouch("one", payload) + vouch("other", payload))}, "refused"},
	{kind{"large", then(saying(vouch("config", strings.Repeat(payload, 1<<16))), put("config", strings.Repeat(payload, 1<<16)))}, "done"},
	{kind{"unsigned", then(vouching, put(scriptName+".p7s", "x"))}, "refused"},
	{kind{"by a stranger", signed(scriptName, stranger, text("#!/bin/sh\n# usbagent: what\n"))}, "refused"},
	{kind{"this board", saying("# usbagent: board model=\"Bench*\" serial=S0,S1\n")}, "done"},
	{kind{"other model", saying("# usbagent: board model=Bench\n")}, "skipped"},
	{kind{"other serial", saying("# usbagent: board serial=S0,S2\n")}, "skipped"},
	{kind{"other board, file missing", saying(vouch("config", payload) + "# usbagent: board model=Other\n")}, "skipped"},
	{kind{"run once", saying("# usbagent: run once\n")}, "done"},
	{kind{"run always", saying("# usbagent: run always\n")}, "done"},
	{kind{"old enough", saying("# usbagent: requires usbagent>=0.0\n")}, "done"},
	{kind{"too new", saying("# usbagent: colour blue\n# usbagent: requires usbagent>=999.0\n")}, "refused"},
	{kind{"unknown", saying("# usbagent: colour blue\n")}, "refused"},
	{kind{"unknown, other board", saying("# usbagent: board model=Other\n# usbagent: colour blue\n")}, "refused"},
	{kind{"malformed", saying("# usbagent: run\n")}, "refused"},
	{kind{"twice", saying("# usbagent: run once\n# usbagent: run once\n")}, "refused"},
	{kind{"below the comments", saying("true\n# usbagent: run once\n")}, "refused"},
	{kind{"CRLF", saying("# usbagent: run once\r\n" + strings.TrimSuffix(vouch("config", payload), "\n") + " \t\r\n")}, "refused"},
	{kind{"byte order mark", signed(scriptName, vendor, text("\ufeff# usbagent: run once\n:\n"))}, "done"},
}

// TestDirectives: what a script says about itself means the same at the desk
// and on a board.
func TestDirectives(t *testing.T) {
	w := newWorld(t)
	for _, d := range directives {
		t.Run(d.name, func(t *testing.T) {
			w.t = t
			b := w.board()
			stick := b.dir + "/stick"
			check(t, os.Mkdir(stick, 0o755))
			d.make(w, stick)
			desk, deskCode := w.desk(b, stick)
			field, fieldCode := w.field(b, stick)
			if len(desk) != 1 || len(field) != 1 || desk[0] != field[0] || deskCode != fieldCode {
				t.Fatalf("desk:  %+v, code %d\nfield: %+v, code %d", desk, deskCode, field, fieldCode)
			}
			if desk[0].result != d.result || (deskCode == 4) != (d.result == "refused") {
				t.Errorf("%+v, code %d, want %s", desk[0], deskCode, d.result)
			}
		})
	}
}

// TestRanBefore: a script in the list is skipped unless it says "run always".
func TestRanBefore(t *testing.T) {
	w := newWorld(t)
	for line, result := range map[string]string{"# usbagent: run once\n": "skipped", "# usbagent: run always\n": "done", "# usbagent: run always\n# usbagent: what\n": "refused"} {
		b := w.board()
		stick := b.dir + "/stick"
		check(t, os.Mkdir(stick, 0o755))
		saying(line)(w, stick)
		first := result
		if strings.HasSuffix(line, "once\n") {
			first = "done"
		}
		if list, _ := w.field(b, stick); list[0].result != first {
			t.Errorf("%q: first %+v, want %s", line, list, first)
		}
		check(t, os.RemoveAll(b.dir+"/state"))
		desk, deskCode := w.desk(b, stick)
		field, fieldCode := w.field(b, stick)
		if desk[0] != field[0] || deskCode != fieldCode || desk[0].result != result {
			t.Errorf("%q:\ndesk:  %+v, code %d\nfield: %+v, code %d\nwant %s", line, desk, deskCode, field, fieldCode, result)
		}
	}
}
