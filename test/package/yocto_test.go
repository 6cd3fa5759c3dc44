// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package package_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// The layer is checked without bitbake: its syntax by parse, its checksums
// against the release, its functions by running them with the variables that
// the classes of OpenEmbedded set. What is not checked is in docs/releasing.md.

// layer unpacks the layer of the release.
func layer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	output(t, "tar", "-C", dir, "-xzf", filepath.Join(packages(t), "meta-usbagent-1.2.3-rc.1.tar.gz"))
	return filepath.Join(dir, "meta-usbagent")
}

// load reads a recipe and what it requires.
func load(t *testing.T, path string) recipe {
	t.Helper()
	r, err := parse(read(t, path))
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(path), err)
	}
	for _, name := range r.requires {
		base := load(t, filepath.Join(filepath.Dir(path), name))
		for name, value := range r.vars { // ours come after it; only += is used on both sides
			if old, ok := base.vars[name]; ok {
				value = strings.TrimSpace(old + " " + value)
			}
			base.vars[name] = value
		}
		maps.Copy(base.functions, r.functions)
		base.inherits = append(base.inherits, r.inherits...)
		r = base
	}
	return r
}

// oe is what bitbake.conf and the classes set, with the paths of an image that
// has no merged /usr.
func oe(dir, pn string) map[string]string {
	return map[string]string{
		"PN": pn, "BP": pn + "-1.2.3~rc.1", "S": filepath.Join(dir, "s"), "B": filepath.Join(dir, "b"), "D": filepath.Join(dir, "d"),
		"prefix": "/usr", "bindir": "/usr/bin", "sysconfdir": "/etc", "datadir": "/usr/share", "GO": "go",
		"systemd_system_unitdir": "/lib/systemd/system", "nonarch_base_libdir": "/lib", "nonarch_libdir": "/usr/lib",
	}
}

func recipes(t *testing.T) map[string]recipe {
	t.Helper()
	dir := filepath.Join(layer(t), "recipes-core/usbagent")
	found, _ := filepath.Glob(filepath.Join(dir, "*"))
	var names []string
	for _, path := range found {
		names = append(names, filepath.Base(path))
	}
	if want := []string{"usbagent-bin_1.2.3~rc.1.bb", "usbagent.inc", "usbagent_1.2.3~rc.1.bb"}; !slices.Equal(names, want) {
		t.Fatalf("recipes %q, want %q", names, want)
	}
	return map[string]recipe{"usbagent": load(t, filepath.Join(dir, names[2])), "usbagent-bin": load(t, filepath.Join(dir, names[0]))}
}

func TestYoctoLayer(t *testing.T) {
	conf := load(t, filepath.Join(layer(t), "conf/layer.conf"))
	for name, want := range map[string]string{"LAYERSERIES_COMPAT_usbagent": "kirkstone scarthgap", "BBFILE_COLLECTIONS": "usbagent", "LAYERDEPENDS_usbagent": "core"} {
		if conf.vars[name] != want {
			t.Errorf("%s is %q, want %q", name, conf.vars[name], want)
		}
	}
	for pn, r := range recipes(t) {
		for name, value := range r.vars {
			plain := regexp.MustCompile(`\$\{@.*?\}`).ReplaceAllString(value, "")
			if _, err := r.expand(plain, oe("/x", pn)); err != nil {
				t.Errorf("%s: %s: %v", pn, name, err)
			}
			if regexp.MustCompile(`@[A-Z]`).MatchString(value) {
				t.Errorf("%s: %s still has a placeholder: %s", pn, name, value)
			}
		}
		for _, class := range r.inherits {
			if !slices.Contains([]string{"systemd", "bash-completion", "go-mod"}, class) {
				t.Errorf("%s: class %s", pn, class)
			}
		}
		for name, want := range map[string]string{
			"SYSTEMD_SERVICE:${PN}": "usbagent.service", "RREPLACES:${PN}": "usb-mount", "CONFFILES:${PN}": "${sysconfdir}/usbagent/config.toml",
		} {
			if r.vars[name] != want {
				t.Errorf("%s: %s is %q, want %q", pn, name, r.vars[name], want)
			}
		}
		if !strings.HasPrefix(r.vars["RCONFLICTS:${PN}"], "usb-mount ") {
			t.Errorf("%s: conflicts with %q", pn, r.vars["RCONFLICTS:${PN}"])
		}
	}
}

// TestYoctoChecksums compares every checksum in the recipes with the file.
func TestYoctoChecksums(t *testing.T) {
	dir := packages(t)
	license, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for pn, r := range recipes(t) {
		if got, want := r.vars["LIC_FILES_CHKSUM"], fmt.Sprintf("LICENSE;md5=%x", md5.Sum(license)); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %s", pn, got, want)
		}
		for name, sum := range r.vars {
			of, ok := strings.CutPrefix(name, "SRC_URI[")
			if !ok {
				continue
			}
			of = strings.TrimSuffix(of, ".sha256sum]")
			file := "usbagent-1.2.3-rc.1-" + of
			if of == "source" {
				file = "usbagent-1.2.3-rc.1.tar.gz"
			}
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if sum != fmt.Sprintf("%x", sha256.Sum256(text)) {
				t.Errorf("%s: checksum of %s is %s", pn, file, sum)
			}
			checked++
		}
	}
	if checked != 5 {
		t.Errorf("%d checksums, want 1 and 4", checked)
	}
}

// bitbake runs a shell function of a recipe as bitbake would.
func bitbake(t *testing.T, r recipe, name string, known map[string]string, config string) {
	t.Helper()
	python := regexp.MustCompile(`\$\{@bb\.utils\.contains\('PACKAGECONFIG', '(\w+)', '(\w+)', '(\w+)', d\)\}`)
	body := python.ReplaceAllStringFunc(r.functions[name], func(call string) string {
		word := python.FindStringSubmatch(call)
		if slices.Contains(strings.Fields(config), word[1]) {
			return word[2]
		}
		return word[3]
	})
	body, err := r.expand(body, known)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	cmd := exec.Command("sh", "-ec", "oe_runmake() { make \"$@\"; }; bbfatal() { echo \"$@\" >&2; exit 1; }\n"+body)
	// The classes export these; there is no network.
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-modcacherw", "GOMODCACHE="+filepath.Join(known["S"], "pkg/mod"), "GOARCH="+runtime.GOARCH, "CGO_ENABLED="+r.vars["CGO_ENABLED"])
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// TestYoctoBuilds runs the recipe's own functions on the release's source
// archive, without the network: what is installed is what "make install"
// installs, each file belongs to a package, and the program is the release.
func TestYoctoBuilds(t *testing.T) {
	dir := t.TempDir()
	r, known := recipes(t)["usbagent"], oe(dir, "usbagent")
	source := filepath.Join(known["S"], "src/usbagent")
	if !strings.Contains(r.vars["SRC_URI"], ";subdir=${BP}/src/usbagent;striplevel=1") {
		t.Errorf("SRC_URI %q", r.vars["SRC_URI"])
	}
	for _, d := range []string{source, known["B"], known["D"]} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	output(t, "tar", "-C", source, "--strip-components=1", "-xzf", filepath.Join(packages(t), "usbagent-1.2.3-rc.1.tar.gz"))
	bitbake(t, r, "do_compile", known, "")
	bitbake(t, r, "do_install", known, r.vars["PACKAGECONFIG"])

	files := list(t, known["D"])
	if got, want := neutral(files), neutral(installed(t)); !slices.Equal(got, want) {
		t.Errorf("recipe:\n%s\nmake install:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	packaged, err := r.expand(r.vars["FILES:${PN}"], known)
	if err != nil {
		t.Fatal(err)
	}
	// And what FILES has by default, the systemd class, and the packages
	// usbagent-doc and usbagent-bash-completion.
	patterns := append(strings.Fields(packaged), "/usr/bin", "/etc", "/lib/systemd/system", "/usr/share/man", "/usr/share/bash-completion")
	for name := range files {
		if !slices.ContainsFunc(patterns, func(p string) bool { return strings.HasPrefix(name, path.Clean(p)+"/") }) {
			t.Errorf("%s is installed but not packaged", name)
		}
	}
	program := filepath.Join(known["D"], "usr/bin/usbagent")
	var said map[string]string
	if err := json.Unmarshal([]byte(output(t, program, "version", "--json")), &said); err != nil {
		t.Fatal(err)
	}
	if said["version"] != "1.2.3-rc.1" || said["commit"] != "0123456789ab" {
		t.Errorf("the program is %q", said)
	}
	config := filepath.Join(known["D"], "etc/usbagent/config.toml")
	full := read(t, config)
	os.Remove(config)
	bitbake(t, r, "do_install", known, "")
	bare := read(t, config)
	if strings.Count(full, "\nbackend = ") != 0 || strings.Count(bare, "\nbackend = \"none\"\n") != 2 {
		t.Errorf("without rauc and led the configuration is\n%s", bare)
	}
	output(t, program, "run", "--check-config", "--config", config)
}

// TestYoctoBinaryInstalls runs the other recipe with the released program.
func TestYoctoBinaryInstalls(t *testing.T) {
	dir := t.TempDir()
	r, known := recipes(t)["usbagent-bin"], oe(dir, "usbagent-bin")
	known["USBAGENT_PLATFORM"] = r.vars["USBAGENT_PLATFORM:arm"]
	source := filepath.Join(known["S"], "src/usbagent")
	if err := os.MkdirAll(source, 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, "tar", "-C", source, "--strip-components=1", "-xzf", filepath.Join(packages(t), "usbagent-1.2.3-rc.1.tar.gz"))
	binary, err := r.expand(r.vars["USBAGENT_BINARY"], known)
	if err != nil {
		t.Fatal(err)
	}
	output(t, "cp", filepath.Join(packages(t), filepath.Base(binary)), binary)
	bitbake(t, r, "do_install", known, r.vars["PACKAGECONFIG"])
	if got, want := neutral(list(t, known["D"])), neutral(installed(t)); !slices.Equal(got, want) {
		t.Errorf("recipe:\n%s\nmake install:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	same(t, filepath.Join(packages(t), "usbagent-1.2.3-rc.1-linux-armv7"), filepath.Join(known["D"], "usr/bin/usbagent"))
}

// TestRecipeParser: what is wrong in a recipe is seen.
func TestRecipeParser(t *testing.T) {
	for _, bad := range []string{
		"FOO=\"x\"\n", "FOO = x\n", "FOO = \"x\n", "FOO = \"a\" b\"\n", "RDEPENDS_${PN} = \"x\"\n", "do_install_append() {\n}\n",
		"do_install() {\n\tx\n", "FOO_append = \"x\"\n", "what is this\n", "FOO = 'x'\n", "inherits systemd\n",
	} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	r, err := parse("A = \"x\"\nA += \"y\"\nB:${PN} = \"${A} \\\n  z\"\nC[flag.sum] = \"1\"\n")
	if err != nil || r.vars["A"] != "x y" || r.vars["B:${PN}"] != "${A}   z" || r.vars["C[flag.sum]"] != "1" {
		t.Errorf("%v: %q", err, r.vars)
	}
	if _, err := r.expand("${NOWHERE}", nil); err == nil {
		t.Error("an unknown variable is accepted")
	}
}
