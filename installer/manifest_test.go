// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// manifests are real ones and their like, in testdata/manifest.
func manifests(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/manifest/*.raucm")
	if err != nil || len(paths) < 4 {
		t.Fatalf("testdata/manifest has %d manifests (%v); at least 4 belong there", len(paths), err)
	}
	texts := map[string][]byte{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(path)] = text
	}
	return texts
}

func TestParseManifest(t *testing.T) {
	texts := manifests(t)
	want := map[string]Info{
		"plain-1.8.raucm": {Compatible: "usbagent-bench", Version: "1", Format: Plain,
			Images: []Image{{Class: "rootfs", Filename: "rootfs.img", Size: 1000000, SHA256: "be3dfba1602789f1f38eef453c4684fc4f798cbc78e252b86a24376da63d8570"}}},
		"verity-1.8.raucm": {Compatible: "usbagent-bench", Version: "2", Format: Verity,
			Images: []Image{{Class: "rootfs", Filename: "rootfs.img", Size: 1000000, SHA256: "be3dfba1602789f1f38eef453c4684fc4f798cbc78e252b86a24376da63d8570"}}},
		"everything.raucm": {Compatible: "a board; with=signs # and more", Version: "2026.11-1", Description: "two  lines\nand a tab\t.", Build: "20261123", Format: Crypt,
			Images: []Image{
				{Class: "rootfs", Variant: "big.one", Filename: "r.ext4", Size: 7, SHA256: strings.Repeat("ab", 32)},
				{Class: "hookonly"},
			}},
	}
	for name, info := range want {
		got, err := ParseManifest(texts[name])
		info.ManifestHash = got.ManifestHash
		if err != nil || len(got.ManifestHash) != 64 || !reflect.DeepEqual(got, info) {
			t.Errorf("%s: %+v, %v\nwant %+v", name, got, err, info)
		}
	}
}

func TestParseManifestRefuses(t *testing.T) {
	const head = "[update]\ncompatible=x\n"
	for name, c := range map[string]struct{ text, word string }{
		"empty":             {"", "no compatible"},
		"no compatible":     {"[update]\nversion=1\n", "no compatible"},
		"no group":          {"compatible=x\n", "no key of a group"},
		"text":              {head + "hello\n", "no key of a group"},
		"broken group":      {head + "[bundle\n", "group header"},
		"unknown format":    {head + "[bundle]\nformat=zip\n", "unknown bundle format"},
		"short digest":      {head + "[image.rootfs]\nsha256=abcd\n", "sha256"},
		"digest of words":   {head + "[image.rootfs]\nsha256=" + strings.Repeat("xy", 32) + "\n", "sha256"},
		"negative size":     {head + "[image.rootfs]\nsize=-1\n", "size"},
		"size of words":     {head + "[image.rootfs]\nsize=big\n", "size"},
		"no class":          {head + "[image.]\n", "slot class"},
		"MaxManifestSize":   {head + strings.Repeat("# x\n", MaxManifestSize/4), "more than"},
		"MaxKeyFileLine":    {head + "a=" + strings.Repeat("x", MaxKeyFileLine) + "\n", "longer than"},
		"MaxField":          {"[update]\ncompatible=" + strings.Repeat("x", MaxField+1) + "\n", "longer than"},
		"MaxField filename": {head + "[image.r]\nfilename=" + strings.Repeat("x", MaxField+1) + "\n", "file name"},
		"MaxKeyFileGroups":  {head + manyGroups(MaxKeyFileGroups), "groups"},
	} {
		if got, err := ParseManifest([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %+v, %v; want an error with %q", name, got, err, c.word)
		}
	}
	atLimit := head + manyGroups(MaxKeyFileGroups-1)
	if _, err := ParseManifest([]byte(atLimit)); err != nil {
		t.Errorf("MaxKeyFileGroups groups: %v", err)
	}
}

func manyGroups(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "[meta.%d]\n", i)
	}
	return text.String()
}

// FuzzManifest: no manifest crashes the parser, and what it accepts can be
// decided upon: it has a compatible, a known format and whole digests.
func FuzzManifest(f *testing.F) {
	for _, text := range manifests(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := ParseManifest(text)
		if err != nil {
			if !reflect.DeepEqual(info, Info{}) {
				t.Errorf("an error and %+v", info)
			}
			return
		}
		if info.Compatible == "" || !slices.Contains([]Format{Plain, Verity, Crypt}, info.Format) {
			t.Errorf("accepted %+v", info)
		}
		for _, image := range info.Images {
			if n := len(image.SHA256); image.Class == "" || n != 0 && n != 64 || image.Size < 0 {
				t.Errorf("accepted image %+v", image)
			}
		}
		MustStage(StageFacts{Direct: DirectAuto, Format: info.Format})
		Decide(info, groups(), Situation{AtBoot: true})
	})
}

func TestParseSystemConf(t *testing.T) {
	all := []Format{Plain, Verity, Crypt}
	for list, want := range map[string][]Format{
		"":                       all,
		"-plain":                 {Verity, Crypt},
		"-plain -crypt":          {Verity},
		"verity":                 {Verity},
		"verity crypt":           {Verity, Crypt},
		"plain verity -plain":    {Verity},
		"-plain +plain":          {Verity, Crypt, Plain},
		"-plain   -future":       {Verity, Crypt},
		"+verity":                {Plain, Crypt, Verity},
		"-verity\t-crypt;+crypt": {Plain, Crypt},
	} {
		c, err := ParseSystemConf([]byte("[system]\nbundle-formats=" + list + "\n"))
		if err != nil || !slices.Equal(c.Formats, want) {
			t.Errorf("bundle-formats=%s: %v, %v; want %v", list, c.Formats, err, want)
		}
	}
	text, err := os.ReadFile("testdata/system.conf")
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseSystemConf(text)
	if err != nil || c.Compatible != "tarragon-master" || c.Bootloader != "uboot" || c.StatusFile != "/srv/rauc/status" ||
		c.Keyring != "keyring.pem" || c.KeepsPrimary || !c.Accepts(Plain) {
		t.Errorf("testdata/system.conf: %+v, %v", c, err)
	}
	for name, text := range map[string]string{
		"nothing left":      "[system]\nbundle-formats=-plain -verity -crypt\n",
		"unknown only":      "[system]\nbundle-formats=future\n",
		"no key file":       "<xml>",
		"MaxSystemConfSize": strings.Repeat("#\n", MaxSystemConfSize/2+1),
	} {
		if c, err := ParseSystemConf([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if _, err := ReadSystemConf(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing configuration was read")
	}
}
