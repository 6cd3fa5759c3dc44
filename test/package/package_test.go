// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Package package_test makes the packages as a releaser does and looks at what
// is in them. What they do to a machine is shown by the tests beside this
// file, on a booted systemd, and by test/board on the emulated board.
package package_test

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"usbagent/test/need"
)

// What each release is told.
var identity = []string{"VERSION=1.2.3-rc.1", "COMMIT=0123456789ab", "DATE=1795435215", "MAINTAINER=Some One <one@example.com>"}

// top is the source tree.
var top = sync.OnceValue(func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
})

// made is where "make release" put everything, in a copy of the source tree.
var made = sync.OnceValues(func() (string, error) {
	tree, err := copySource()
	if err != nil {
		return "", err
	}
	return filepath.Join(tree, "build/release"), run(tree, "make", append([]string{"release"}, identity...)...)
})

// room holds what the tests make; TestMain removes it.
var room string

func TestMain(m *testing.M) {
	code := func() int {
		var err error
		if room, err = os.MkdirTemp("/var/tmp", "usbagent-package-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(room)
		return m.Run()
	}()
	os.Exit(code)
}

// packages makes a release once and returns its directory.
func packages(t *testing.T) string {
	t.Helper()
	need.Tool(t, "make")
	need.Tool(t, "dpkg-deb")
	dir, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// copySource copies the source tree, as it is now, into a directory of its
// own, as the commit that is released: its changelog says so.
func copySource() (string, error) {
	tree, err := os.MkdirTemp(room, "source-")
	if err != nil {
		return "", err
	}
	if err := filepath.WalkDir(top(), copyTo(tree)); err != nil {
		return "", err
	}
	changes := filepath.Join(tree, "CHANGELOG.md")
	text, err := os.ReadFile(changes)
	if err != nil {
		return "", err
	}
	text = regexp.MustCompile(`(?m)^## .*$`).ReplaceAll(text, []byte("## 1.2.3-rc.1 (2026-11-23)"))
	if err := os.WriteFile(changes, text, 0o644); err != nil {
		return "", err
	}
	return tree, run(tree, "sh", "-c", "git init -q . && git add -A && git -c user.name=x -c user.email=x@example.com commit -q -m x")
}

// copyTo copies regular files into tree, but git's and what was built.
func copyTo(tree string) fs.WalkDirFunc {
	return func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top(), path)
		switch {
		case err != nil:
			return err
		case rel == "build", rel == ".git" && d.IsDir():
			return fs.SkipDir
		case rel == ".git", !d.IsDir() && !d.Type().IsRegular():
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(tree, rel), 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tree, rel), text, info.Mode().Perm())
	}
}

// run runs a program in dir; it has to succeed.
func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", name, args, err, out[max(0, len(out)-4000):])
	}
	return nil
}

// output returns what a program prints; it has to succeed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

const (
	deb = "usbagent_1.2.3~rc.1_armhf.deb"
	ipk = "usbagent_1.2.3~rc.1_armv7ahf-vfp.ipk"
	bom = "usbagent-1.2.3-rc.1-linux-armv7.cdx.json"
)

// TestSums: everything that was made is there and in SHA256SUMS.
func TestSums(t *testing.T) {
	dir := packages(t)
	want := []string{"SHA256SUMS", "meta-usbagent-1.2.3-rc.1.tar.gz", "usbagent-1.2.3-rc.1.tar.gz"}
	for _, platform := range []string{"darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64", "linux-armv7", "windows-amd64"} {
		want = append(want, "usbagent-1.2.3-rc.1-"+platform+strings.Repeat(".exe", strings.Count(platform, "windows")), "usbagent-1.2.3-rc.1-"+platform+".cdx.json")
	}
	want = append(want,
		"usbagent_1.2.3~rc.1_aarch64.ipk", "usbagent_1.2.3~rc.1_amd64.deb", "usbagent_1.2.3~rc.1_arm64.deb", deb, ipk, "usbagent_1.2.3~rc.1_x86_64.ipk")
	slices.Sort(want)
	var got []string
	sums, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if line := fmt.Sprintf("%x  %s\n", sha256.Sum256(text), e.Name()); e.Name() != "SHA256SUMS" && !strings.Contains(string(sums), line) {
			t.Errorf("SHA256SUMS does not have %s", line)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("made %q, want %q", got, want)
	}
}

// TestReproducible makes the release again: another directory, umask, time
// zone and language, and for the board's program nothing from the build cache.
func TestReproducible(t *testing.T) {
	first := packages(t)
	tree, err := copySource()
	if err != nil {
		t.Fatal(err)
	}
	const program = "build/usbagent-linux-armv7"
	shell := "umask 077; export TZ=Pacific/Apia LC_ALL=C.UTF-8 HOSTNAME=other; "
	args := "'" + strings.Join(identity, "' '") + "'"
	if err := run(tree, "sh", "-c", shell+"GOCACHE="+filepath.Join(room, "cache")+" make "+program+" "+args); err != nil {
		t.Fatal(err)
	}
	same(t, filepath.Join(first, "usbagent-1.2.3-rc.1-linux-armv7"), filepath.Join(tree, program))
	if err := run(tree, "sh", "-c", shell+"make release "+args); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		same(t, filepath.Join(first, e.Name()), filepath.Join(tree, "build/release", e.Name()))
	}
}

func same(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) || len(x) == 0 {
		t.Errorf("%s: the second build has other bytes", filepath.Base(a))
	}
}

// TestLintian: nothing to say about any of the .deb packages but what
// lintian-overrides lists, and nothing listed there that is not so. Spelling in
// the program is not asked for: Go's string constants lie there without an end,
// so words run into each other ("installe", then "r").
func TestLintian(t *testing.T) {
	dir := packages(t)
	lintian := need.Tool(t, "lintian")
	debs, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	if len(debs) != 3 {
		t.Fatalf("packages: %q", debs)
	}
	out, err := exec.Command(lintian, append([]string{"--profile", "debian", "--display-info", "--pedantic", "--show-overrides", "--fail-on", "none", "--suppress-tags", "spelling-error-in-binary"}, debs...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	overridden := 0
	for line := range strings.Lines(string(out)) {
		switch {
		case strings.HasPrefix(line, "O: "):
			overridden++
		case strings.HasPrefix(line, "N: "), strings.HasPrefix(line, "running with root privileges"):
		default:
			t.Errorf("lintian: %s", line)
		}
	}
	if overridden != 2*len(debs) {
		t.Errorf("%d tags are overridden, want 2 for each package:\n%s", overridden, out)
	}
}

// TestSBOM compares the bill of materials with the very program in the
// package, and its checksums with go.sum.
func TestSBOM(t *testing.T) {
	dir := packages(t)
	tree := unpack(t, filepath.Join(dir, deb))
	program := filepath.Join(tree, "usr/bin/usbagent")
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Metadata struct {
			Component struct {
				Version string
				Hashes  []struct{ Content string }
			}
		}
		Components []struct{ Name, Version, Purl string }
	}
	text, err := os.ReadFile(filepath.Join(dir, bom))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if main := list.Metadata.Component; main.Version != "1.2.3-rc.1" || main.Hashes[0].Content != fmt.Sprintf("%x", sha256.Sum256(content)) {
		t.Errorf("it describes another program: %+v", main)
	}
	var got, want []string
	for _, c := range list.Components {
		got = append(got, c.Name+" "+c.Version)
		if c.Purl != "pkg:golang/"+c.Name+"@"+c.Version {
			t.Errorf("package URL of %s: %s", c.Name, c.Purl)
		}
	}
	sums, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, "std "+strings.TrimPrefix(info.GoVersion, "go"))
	for _, m := range info.Deps {
		want = append(want, m.Path+" "+m.Version)
		if !strings.Contains(string(sums), m.Path+" "+m.Version+" "+m.Sum+"\n") {
			t.Errorf("%s is not what go.sum has", m.Path)
		}
	}
	if slices.Sort(got); len(got) < 10 {
		t.Errorf("only %q", got)
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("components %q, the program has %q", got, want)
	}
}

// unpack unpacks the files of a .deb.
func unpack(t *testing.T, path string) string {
	t.Helper()
	tree := t.TempDir()
	output(t, "dpkg-deb", "-x", path, tree)
	return tree
}

// TestVersionInside: each program says which release it is.
func TestVersionInside(t *testing.T) {
	dir := packages(t)
	tree := unpack(t, filepath.Join(dir, "usbagent_1.2.3~rc.1_amd64.deb"))
	var said map[string]string
	if err := json.Unmarshal([]byte(output(t, filepath.Join(tree, "usr/bin/usbagent"), "version", "--json")), &said); err != nil {
		t.Fatal(err)
	}
	if said["version"] != "1.2.3-rc.1" || said["commit"] != "0123456789ab" || said["platform"] != "linux/amd64" || !regexp.MustCompile(`^go1\.\d+`).MatchString(said["go"]) {
		t.Errorf("version --json: %q", said)
	}
	for _, platform := range []string{"darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64", "linux-armv7", "windows-amd64.exe"} {
		text, err := os.ReadFile(filepath.Join(dir, "usbagent-1.2.3-rc.1-"+platform))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte("1.2.3-rc.1")) || !bytes.Contains(text, []byte("0123456789ab")) {
			t.Errorf("%s: version and commit are not inside", platform)
		}
	}
}

// TestReleaseRefuses what would be a release of something else than its name says.
func TestReleaseRefuses(t *testing.T) {
	tree, err := copySource()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"", "say which"}, {"VERSION=one", "no version"}, {"VERSION=1.2.4", "no heading"}, {"VERSION=1.2.3-rc.1", "MAINTAINER"},
	} {
		if err := run(tree, "sh", "-c", "make release-check "+c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("make release %s: %v, want %q", c.args, err, c.want)
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "new"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(tree, "make", append([]string{"release-check"}, identity...)...); err == nil || !strings.Contains(err.Error(), "not committed") {
		t.Errorf("release of a tree with changes: %v", err)
	}
}
