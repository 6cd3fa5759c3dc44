// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Release is the Debian release of the board: the one whose kernel and RAUC
// the figures in docs/board.md were measured with.
const Release = "bookworm"

// debianSource is the sources.list line for Release: the mirror that this
// machine is configured for, and of it only "main", since the updates of
// foreign architectures may lag behind on a mirror.
func debianSource() (string, error) {
	out, err := output(nil, "apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
	if err != nil {
		return "", err
	}
	var fallback string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "main" || strings.Contains(f[1], "-") || !strings.Contains(f[0], "debian") {
			continue
		}
		if f[1] == Release {
			return sourceLine(f[0]), nil
		}
		fallback = f[0]
	}
	if fallback == "" {
		return "", errors.New("no Debian mirror among this machine's apt sources")
	}
	return sourceLine(fallback), nil
}

func sourceLine(site string) string {
	const ring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	if _, err := os.Stat(ring); err == nil {
		return "deb [signed-by=" + ring + "] " + site + " " + Release + " main"
	}
	return "deb " + site + " " + Release + " main"
}

// archive is an apt of its own for one architecture: the host's dpkg does not
// learn of it.
type archive struct{ dir, arch string }

// openArchive fetches the package lists of Release for arch into dir.
func openArchive(dir, arch string) (archive, error) {
	a := archive{dir, arch}
	source, err := debianSource()
	if err != nil {
		return a, err
	}
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return a, err
		}
	}
	conf := fmt.Sprintf(`APT::Architecture %[2]q;
APT::Architectures { %[2]q; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "%[1]s/state";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s/cache";
Dir::Etc::SourceList "%[1]s/sources.list";
Dir::Etc::SourceParts "%[1]s/empty";
`, dir, arch)
	for name, text := range map[string]string{"status": "", "sources.list": source + "\n", "apt.conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return a, err
		}
	}
	return a, a.run("", "apt-get", "-q", "update")
}

// run starts an apt program inside the archive's own world.
func (a archive) run(chdir, name string, args ...string) error {
	if chdir != "" {
		args = append([]string{"-C", chdir, name}, args...)
		name = "env"
	}
	return command([]string{"APT_CONFIG=" + filepath.Join(a.dir, "apt.conf")}, name, args...)
}

// dependency is the first package that the meta package name depends on:
// linux-image-armmp names the kernel of the day this way.
func (a archive) dependency(name string) (string, error) {
	out, err := output([]string{"APT_CONFIG=" + filepath.Join(a.dir, "apt.conf")}, "apt-cache", "depends", name)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		if pkg, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: "); ok {
			return pkg, nil
		}
	}
	return "", fmt.Errorf("%s depends on nothing", name)
}

// unpack downloads packages and unpacks them, without installing, into root.
func (a archive) unpack(root string, packages ...string) error {
	debs := filepath.Join(a.dir, "debs")
	if err := os.MkdirAll(debs, 0o755); err != nil {
		return err
	}
	if err := a.run(debs, "apt-get", append([]string{"-q", "download"}, packages...)...); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range found {
		if err := command(nil, "dpkg-deb", "-x", deb, root); err != nil {
			return err
		}
	}
	return nil
}

// unpackKernel puts Debian's kernel package flavour ("armmp", "amd64") and the
// static busybox of arch into dir/root and returns the kernel's release name.
func unpackKernel(dir, arch, flavour string) (release string, err error) {
	a, err := openArchive(filepath.Join(dir, "apt"), arch)
	if err != nil {
		return "", err
	}
	pkg, err := a.dependency("linux-image-" + flavour)
	if err != nil {
		return "", err
	}
	if err := a.unpack(filepath.Join(dir, "root"), pkg, "busybox-static"); err != nil {
		return "", err
	}
	release = strings.TrimPrefix(pkg, "linux-image-")
	if err := os.WriteFile(filepath.Join(dir, "release"), []byte(release), 0o644); err != nil {
		return "", err
	}
	return release, os.RemoveAll(a.dir)
}
