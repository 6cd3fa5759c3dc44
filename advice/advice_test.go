// SPDX-License-Identifier: GPL-3.0-or-later

package advice

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"usbagent/test/need"
)

// tree makes a file system of names and contents.
func tree(files ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		m[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return m
}

const goodScript = "#!/bin/sh\necho hello\n"

// goodPairs is a stick without fault.
func goodPairs(more ...string) fstest.MapFS {
	return tree(append([]string{
		"autorun.sh", goodScript, "autorun.sh.p7s", "x", "fwupdate-keyring.pem", "x", "fwupdate-keyring.pem.p7s", "x",
		"readme.txt", "hello", "docs/manual.pdf", "x", "System Volume Information/x", "x",
	}, more...)...)
}

func TestGoodStickHasNoFinding(t *testing.T) {
	for _, fold := range []bool{false, true} {
		if got, err := Look(goodPairs(), fold); err != nil || len(got) > 0 {
			t.Errorf("fold %v: %v, %v", fold, got, err)
		}
	}
}

func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name    string
		stick   fstest.MapFS
		fold    bool
		file    string
		weight  Weight
		message string // part of
		advice  string // part of
	}{
		{"txt", tree("autorun.sh.txt", "x"), true, "autorun.sh.txt", Warning, "hides the ending", "rename it to autorun.sh"},
		{"p7s twice", tree("autorun.sh", goodScript, "autorun.sh.p7s.p7s", "x"), true, "autorun.sh.p7s.p7s", Warning, "looks for autorun.sh.p7s", "rename it to autorun.sh.p7s"},
		{"typing error", tree("fwupdate_keyring.pem", "x"), true, "fwupdate_keyring.pem", Warning, "looks for fwupdate-keyring.pem,", ""},
		{"other words", tree("autorun.sh", goodScript, "autorun.p7s", "x"), true, "autorun.p7s", Warning, "looks for autorun.sh.p7s", ""},
		{"case on ext", tree("Autorun.sh", goodScript), false, "Autorun.sh", Warning, "upper and lower case", "rename it to autorun.sh"},
		{"image in capitals on ext", tree("A.IMAGE", "x"), false, "A.IMAGE", Warning, "upper and lower case", "a.image"},
		{"raucb", tree("fw.raucb", "x"), true, "fw.raucb", Warning, "only *.image", "fw.image"},
		{"image.txt", tree("fw.image.txt", "x"), true, "fw.image.txt", Warning, "looks for fw.image", ""},
		{"macOS", goodPairs("._autorun.sh", "x"), true, "._autorun.sh", Note, "macOS", ""},
		{"two images", goodPairs("b.image", "x", "a.image", "x"), true, "a.image", Note, "first of 2 images", ""},
		{"folder", tree("stick/autorun.sh", goodScript), true, "stick/autorun.sh", Warning, "in a folder", ""},
		{"image in folders", tree("a/b/x.image", "x"), true, "a/b/x.image", Warning, "in a folder", ""},
		{"nothing", tree("holiday.jpg", "x"), true, "", Warning, "nothing here", "root directory"},
		{"CRLF", tree("autorun.sh", "#!/bin/sh\r\necho\r\n"), true, "autorun.sh", Warning, "CR LF", "LF line ends"},
		{"BOM", tree("autorun.sh", "\xef\xbb\xbf#!/bin/sh\n"), true, "autorun.sh", Warning, "byte order mark", "without BOM"},
		{"UTF-16", tree("autorun.sh", "\xff\xfe#\x00!\x00"), true, "autorun.sh", Warning, "UTF-16", ""},
		{"no #!", tree("autorun.sh", "echo hello\n"), true, "autorun.sh", Note, "no #! line", ""},
		{"bash", tree("autorun.sh", "#!/bin/bash\necho\n"), true, "autorun.sh", Note, "with /bin/sh", ""},
		{"AUTORUN.SH on FAT", tree("AUTORUN.SH", "echo\n"), true, "autorun.sh", Note, "no #! line", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings, err := Look(c.stick, c.fold)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range findings {
				if f.File == c.file && f.Weight == c.weight && strings.Contains(f.Message, c.message) && strings.Contains(f.Advice, c.advice) {
					return
				}
			}
			t.Errorf("no such finding in %+v", findings)
		})
	}
}

func TestShellReadsTheScript(t *testing.T) {
	need.Tool(t, "sh")
	findings, err := Look(tree("autorun.sh", "#!/bin/sh\nif true; then\n", "autorun.sh.p7s", "x"), true)
	if err != nil || len(findings) != 1 || !strings.Contains(findings[0].Message, "a shell cannot read it") {
		t.Errorf("%v, %+v", err, findings)
	}
	if findings, _ := Look(tree("autorun.sh", "#!/bin/sh\nexit 1\n", "autorun.sh.p7s", "x"), true); len(findings) > 0 {
		t.Errorf("the script was run, or has a finding: %+v", findings)
	}
}

// TestSpecialFilesAreNotRead has a FIFO's stand-in with the script's name.
func TestSpecialFilesAreNotRead(t *testing.T) {
	stick := fstest.MapFS{"autorun.sh": {Mode: fs.ModeNamedPipe, Data: []byte("\xef\xbb\xbf")}}
	if findings, err := Look(stick, true); err != nil || len(findings) > 0 {
		t.Errorf("%v, %+v", err, findings)
	}
}
