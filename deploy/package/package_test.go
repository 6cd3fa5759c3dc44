// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

const someone = "Some One <one@example.com>"

var day = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestDebianChangelog(t *testing.T) {
	const text = "# Changes\n\nNewest first.\n\n## 1.1.0 (unreleased)\n\n- One\n  and more.\n- Two\n\n## 1.0.0-rc.1 (2026-10-01)\n\n- First\n"
	got, err := debianChangelog(text, "1.1.0+3.gabc", someone, day)
	want := "usbagent (1.1.0+3.gabc) unstable; urgency=medium\n\n  * One and more.\n  * Two\n\n -- Some One <one@example.com>  Mon, 23 Nov 2026 12:00:00 +0000\n\n" +
		"usbagent (1.0.0~rc.1) unstable; urgency=medium\n\n  * First\n\n -- Some One <one@example.com>  Thu, 01 Oct 2026 00:00:00 +0000\n"
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	for _, bad := range []string{"", "# no version\n", "## 1.0 yesterday\n"} {
		if _, err := debianChangelog(bad, "1", someone, day); err == nil {
			t.Errorf("%q makes a changelog", bad)
		}
	}
}

// TestChangelogIsReadable reads the project's own.
func TestChangelogIsReadable(t *testing.T) {
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	got, err := debianChangelog(string(text), "0.1.0", someone, day)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(got) {
		if len(line) > 81 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

func TestDebianVersionSorts(t *testing.T) {
	order := []string{"1.0.0-dev", "1.0.0-rc.1", "1.0.0", "1.0.0+3.gabc", "1.0.1-rc.1", "1.0.1", "1.10.0"}
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Fatal("needs dpkg, which says how versions sort")
	}
	for i := range order[1:] {
		a, b := debianVersion(order[i]), debianVersion(order[i+1])
		if err := exec.Command(dpkg, "--compare-versions", a, "lt", b).Run(); err != nil {
			t.Errorf("%s does not sort before %s", a, b)
		}
	}
}

func TestOtherArchitecturesAreRefused(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\nfunc main() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, env := range []string{"GOARCH=riscv64", "GOARCH=arm GOARM=5"} {
		program := filepath.Join(dir, "program")
		cmd := exec.Command("go", "build", "-o", program, source)
		cmd.Env = append(append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0"), strings.Fields(env)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if b, err := readBinary(program); err == nil {
			t.Errorf("%s is packed as %s", env, b.platform())
		}
	}
}

// TestSBOMOfThisTest describes the test's own program: every module in it is
// listed with a checksum, and nothing else.
func TestSBOMOfThisTest(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := readBinary(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bom.json")
	if err := (job{version: "1.2.3", commit: "abc", epoch: day.Unix()}).writeSBOM(path, b); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(f, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, c := range *bom.Components {
		listed[c.Name] = c.Version
		if c.Name != "std" && (c.Hashes == nil || len((*c.Hashes)[0].Value) != 64) {
			t.Errorf("%s has no checksum", c.Name)
		}
	}
	for _, m := range b.info.Deps {
		if listed[m.Path] != m.Version {
			t.Errorf("%s %s is listed as %q", m.Path, m.Version, listed[m.Path])
		}
	}
	if len(listed) != len(b.info.Deps)+1 || listed["std"] == "" || len(listed) < 3 {
		t.Errorf("%d components listed of %d modules", len(listed), len(b.info.Deps))
	}
	if bom.Metadata.Timestamp != "2026-11-23T12:00:00Z" || bom.SerialNumber != "" {
		t.Errorf("something in it changes with every run: %q %q", bom.Metadata.Timestamp, bom.SerialNumber)
	}
}
