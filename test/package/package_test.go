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

// What both builds are told; git is not asked.
var identity = []string{"VERSION=1.2.3-rc.1", "COMMIT=0123456789ab", "DATE=1795435215"}

// top is the source tree.
var top = sync.OnceValue(func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
})

// made is where "make package" put everything, in a copy of the source tree.
var made = sync.OnceValues(func() (string, error) {
	tree, err := copySource()
	if err != nil {
		return "", err
	}
	return filepath.Join(tree, "build/package"), run(tree, "make", append([]string{"package"}, identity...)...)
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

// packages makes the packages once and returns their directory.
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

// copySource copies the source tree, as it is now, into a directory of its own.
func copySource() (string, error) {
	tree, err := os.MkdirTemp(room, "source-")
	if err != nil {
		return "", err
	}
	return tree, filepath.WalkDir(top(), func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(top(), path)
		switch {
		case err != nil:
			return err
		case rel == ".git" || rel == "build":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(tree, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
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
	})
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
	want := []string{
		"SHA256SUMS", "usbagent-1.2.3-rc.1-linux-amd64.cdx.json", "usbagent-1.2.3-rc.1-linux-arm64.cdx.json", bom,
		"usbagent_1.2.3~rc.1_aarch64.ipk", "usbagent_1.2.3~rc.1_amd64.deb", "usbagent_1.2.3~rc.1_arm64.deb", deb, ipk, "usbagent_1.2.3~rc.1_x86_64.ipk",
	}
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

// TestReproducible makes the packages for the board again: another directory,
// umask, time zone and language, and nothing taken from a build cache for the
// program itself.
func TestReproducible(t *testing.T) {
	first := packages(t)
	tree, err := copySource()
	if err != nil {
		t.Fatal(err)
	}
	const program = "build/usbagent-linux-armv7"
	shell := "umask 077; export TZ=Pacific/Apia LC_ALL=C.UTF-8 HOSTNAME=other; "
	args := strings.Join(identity, " ")
	cache := filepath.Join(room, "cache")
	if err := run(tree, "sh", "-c", shell+"GOCACHE="+cache+" make "+program+" "+args); err != nil {
		t.Fatal(err)
	}
	same(t, filepath.Join(first, "../usbagent-linux-armv7"), filepath.Join(tree, program))
	if err := run(tree, "sh", "-c", shell+"make package LINUX="+program+" "+args); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{deb, ipk, bom} {
		same(t, filepath.Join(first, name), filepath.Join(tree, "build/package", name))
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

// TestVersionInside: the program on the board says which release it is.
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
}
