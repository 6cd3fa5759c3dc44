// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package package_test

import (
	"debug/elf"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usbagent/test/need"
)

// installed is what "make install PREFIX=/usr" installs, with its mode.
func installed(t *testing.T, args ...string) map[string]fs.FileMode {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(packages(t), "../usbagent-linux-armv7")
	docs := filepath.Join(packages(t), "../docs")
	if err := run(top(), "make", append([]string{"install", "DESTDIR=" + dir, "PREFIX=/usr", "BINARY=" + program, "DOCS=" + docs}, args...)...); err != nil {
		t.Fatal(err)
	}
	return list(t, dir)
}

// list returns the regular files below dir.
func list(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	all := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		all[strings.TrimPrefix(path, dir)] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// neutral takes away what the kinds of installation do differently: where
// Debian wants some files, and that it compresses manual pages.
func neutral(all map[string]fs.FileMode) []string {
	var out []string
	for path, mode := range all {
		switch {
		case strings.HasPrefix(path, "/usr/share/doc/"), strings.HasPrefix(path, "/usr/share/lintian/"):
			continue
		case strings.HasPrefix(path, "/lib/"):
			path = "/usr" + path
		case strings.HasPrefix(path, "/usr/share/man/"):
			path = strings.TrimSuffix(path, ".gz")
		}
		path = strings.Replace(path, "/zsh/vendor-completions/", "/zsh/site-functions/", 1)
		out = append(out, path+" "+mode.String())
	}
	slices.Sort(out)
	return out
}

// TestSameFilesEverywhere: .deb, .ipk and "make install" install the same.
func TestSameFilesEverywhere(t *testing.T) {
	dir := packages(t)
	want := neutral(installed(t))
	if got := neutral(list(t, unpack(t, filepath.Join(dir, deb)))); !slices.Equal(got, want) {
		t.Errorf(".deb:\n%s\nmake install:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := neutral(list(t, unpackIPK(t, filepath.Join(dir, ipk)))); !slices.Equal(got, want) {
		t.Errorf(".ipk:\n%s\nmake install:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(want) < 10 {
		t.Errorf("only %q", want)
	}
}

// TestPackagesHaveEverything: what the packages are said to hold is there.
func TestPackagesHaveEverything(t *testing.T) {
	have := installed(t)
	for _, path := range []string{
		"/usr/bin/usbagent", "/usr/lib/systemd/system/usbagent.service", "/usr/lib/udev/rules.d/90-usbagent.rules", "/usr/lib/tmpfiles.d/usbagent.conf",
		"/etc/usbagent/config.toml", "/usr/share/man/man8/usbagent.8", "/usr/share/man/man5/usbagent.toml.5",
		"/usr/share/bash-completion/completions/usbagent", "/usr/share/fish/vendor_completions.d/usbagent.fish", "/usr/share/zsh/site-functions/_usbagent",
	} {
		if _, ok := have[path]; !ok {
			t.Errorf("%s is in no package", path)
		}
		delete(have, path)
	}
	if len(have) > 0 {
		t.Errorf("nobody knows of %v", have)
	}
}

// TestDeb looks at what dpkg reads of each package, and that the program is for
// the same machine.
func TestDeb(t *testing.T) {
	dir := packages(t)
	for arch, machine := range map[string]elf.Machine{"armhf": elf.EM_ARM, "arm64": elf.EM_AARCH64, "amd64": elf.EM_X86_64} {
		path := filepath.Join(dir, "usbagent_1.2.3~rc.1_"+arch+".deb")
		control := "\n" + output(t, "dpkg-deb", "-f", path)
		for _, line := range []string{"Package: usbagent", "Version: 1.2.3~rc.1", "Architecture: " + arch, "Conflicts: usb-mount, usbmount", "Replaces: usb-mount", "Recommends: rauc, rauc-service, dbus"} {
			if !strings.Contains(control, "\n"+line+"\n") {
				t.Errorf("%s: control has no line %q:%s", arch, line, control)
			}
		}
		if got := output(t, "dpkg-deb", "-I", path, "conffiles"); got != "/etc/usbagent/config.toml\n" {
			t.Errorf("%s: conffiles %q", arch, got)
		}
		program, err := elf.Open(filepath.Join(unpack(t, path), "usr/bin/usbagent"))
		if err != nil {
			t.Fatal(err)
		}
		if program.Machine != machine || program.Section(".interp") != nil {
			t.Errorf("%s: the program is for %s, or not static", arch, program.Machine)
		}
		program.Close()
	}
}

// unpackIPK unpacks the files of an .ipk as opkg does: an ar archive.
func unpackIPK(t *testing.T, path string) string {
	t.Helper()
	tree, members := t.TempDir(), t.TempDir()
	need.Tool(t, "ar")
	if err := run(members, "ar", "x", path); err != nil {
		t.Fatal(err)
	}
	output(t, "tar", "-C", tree, "-xzpf", filepath.Join(members, "data.tar.gz"))
	return tree
}

// TestIPK looks at what opkg reads before it installs.
func TestIPK(t *testing.T) {
	path := filepath.Join(packages(t), ipk)
	need.Tool(t, "ar")
	if got := output(t, "ar", "t", path); got != "debian-binary\ncontrol.tar.gz\ndata.tar.gz\n" {
		t.Errorf("members: %q", got)
	}
	if got := output(t, "ar", "p", path, "debian-binary"); got != "2.0\n" {
		t.Errorf("format %q", got)
	}
	dir := t.TempDir()
	if err := run(dir, "sh", "-c", "ar p "+path+" control.tar.gz | tar -xzpf -"); err != nil {
		t.Fatal(err)
	}
	control := "\n" + read(t, filepath.Join(dir, "control"))
	for _, line := range []string{"Package: usbagent", "Version: 1.2.3~rc.1", "Architecture: armv7ahf-vfp", "Conflicts: usb-mount", "Replaces: usb-mount", "Recommends: rauc", "License: GPL-3.0-or-later"} {
		if !strings.Contains(control, "\n"+line+"\n") {
			t.Errorf("control has no line %q:%s", line, control)
		}
	}
	if got := read(t, filepath.Join(dir, "conffiles")); got != "/etc/usbagent/config.toml\n" {
		t.Errorf("conffiles: %q", got)
	}
	for _, name := range []string{"postinst", "prerm", "postrm"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != 0o755 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestIPKScripts runs the maintainer scripts of the .ipk with a systemctl that
// writes down what it is told: on a board, and while an image is built.
func TestIPKScripts(t *testing.T) {
	dir := t.TempDir()
	told := filepath.Join(dir, "told")
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\necho \"$@\" >>"+told+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	scripts := filepath.Join(top(), "deploy/package/scripts")
	for _, c := range []struct{ env, script, arg, want string }{
		{"D=/image", "ipk.postinst", "configure", "--root=/image enable usbagent.service\n"},
		{"IPKG_INSTROOT=/image", "ipk.postinst", "configure", "--root=/image enable usbagent.service\n"},
		{"D=/image", "ipk.prerm", "remove", "--root=/image disable usbagent.service\n"},
		{"D=", "ipk.prerm", "upgrade", ""},
		{"D=/image", "ipk.postrm", "remove", ""},
		{"D= PATH=/nowhere", "ipk.postinst", "configure", ""},
	} {
		os.Remove(told)
		if err := run(dir, "/bin/sh", "-c", "export PATH="+dir+":$PATH "+c.env+"; exec /bin/sh "+filepath.Join(scripts, c.script)+" "+c.arg); err != nil && !strings.Contains(c.env, "nowhere") {
			t.Errorf("%s %s: %v", c.script, c.arg, err)
		}
		if got, _ := os.ReadFile(told); string(got) != c.want {
			t.Errorf("%s %s %s: systemctl %q, want %q", c.env, c.script, c.arg, got, c.want)
		}
	}
}

// TestInstallKeepsTheConfiguration: an administrator's is not overwritten, and
// the unit starts the program where it was put.
func TestInstallKeepsTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	docs := filepath.Join(packages(t), "../docs")
	config := filepath.Join(dir, "etc/usbagent/config.toml")
	install := func() {
		t.Helper()
		if err := run(top(), "make", "install", "DESTDIR="+dir, "BINARY=/bin/true", "DOCS="+docs); err != nil {
			t.Fatal(err)
		}
	}
	install()
	if err := os.WriteFile(config, []byte("# mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	install()
	if got := read(t, config); got != "# mine\n" {
		t.Errorf("the configuration was overwritten: %q", got)
	}
	if unit := read(t, filepath.Join(dir, "usr/local/lib/systemd/system/usbagent.service")); !strings.Contains(unit, "\nExecStart=/usr/local/bin/usbagent run\n") {
		t.Errorf("the unit starts something else:\n%s", unit)
	}
}
