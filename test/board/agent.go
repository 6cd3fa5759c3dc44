// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Agent is what gets installed on the board: the product.
type Agent struct {
	// Package is the .deb, Binary the program in it, for machines without dpkg.
	Package, Binary string
	id              string
}

// Where the package puts the agent on a board.
const (
	binaryPath = "/usr/bin/usbagent"
	configPath = "/etc/usbagent/config.toml"
)

// agentVersion is the version of the agent on every board: always the same, so
// that only another content makes another package.
const agentVersion = "0.0.0"

// BuildAgent makes the agent's package for arch ("arm", "amd64") from this
// source tree.
func BuildAgent(c *Cache, arch string) (*Agent, error) { return buildVersion(c, arch, agentVersion) }

// buildVersion makes the agent's package as "make package" does for a release.
func buildVersion(c *Cache, arch, version string) (*Agent, error) {
	top, err := SourceRoot()
	if err != nil {
		return nil, err
	}
	build := filepath.Join(top, "build")
	if err := os.MkdirAll(build, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lockFile(filepath.Join(build, "board-package.lock")) // programs and pages have one place below build/
	if err != nil {
		return nil, err
	}
	defer unlock()
	names := map[string]struct{ program, deb string }{"arm": {"armv7", "armhf"}, "amd64": {"amd64", "amd64"}}[arch]
	out := filepath.Join("build", "board-package")
	if err := command(nil, "make", "-C", top, "package", "LINUX=build/usbagent-linux-"+names.program, "OUT="+out,
		"VERSION="+version, "COMMIT=board", "DATE=1700000000"); err != nil {
		return nil, err
	}
	// What root makes in somebody's source tree stays his.
	if err := command(nil, "chown", "-R", "--reference="+filepath.Join(top, "go.mod"), build+"/docs", build+"/usbagent",
		build+"/usbagent-linux-"+names.program, filepath.Join(top, out)); err != nil {
		return nil, err
	}
	deb, err := os.ReadFile(filepath.Join(top, out, "usbagent_"+version+"_"+names.deb+".deb"))
	if err != nil {
		return nil, err
	}
	layer, sum := "agent-"+arch, sha256.Sum256(deb)
	if version != agentVersion {
		layer += "-" + version
	}
	dir, err := c.Layer(layer, []string{hex.EncodeToString(sum[:])}, func(dir string) error {
		path, tree := filepath.Join(dir, "usbagent.deb"), filepath.Join(dir, "tree")
		return errors.Join(
			os.WriteFile(path, deb, 0o644),
			command(nil, "dpkg-deb", "-x", path, tree),
			os.Rename(filepath.Join(tree, binaryPath), filepath.Join(dir, "usbagent")),
			os.RemoveAll(tree))
	})
	return &Agent{Package: filepath.Join(dir, "usbagent.deb"), Binary: filepath.Join(dir, "usbagent"), id: dir}, err
}

// SlotImage is the file system of a slot on which the agent's package was
// installed: what a card is flashed with and what goes into a bundle. It is
// cached.
func SlotImage(c *Cache, fw *Firmware, a *Agent) (string, error) {
	dir, err := c.Layer("slot", []string{fw.id, a.id, "2"}, func(dir string) error {
		tree := filepath.Join(dir, "tree")
		if err := unpackSlot(fw, tree); err != nil {
			return err
		}
		before, err := filesBelow(filepath.Join(tree, "usr"))
		if err != nil {
			return err
		}
		if err := installInto(tree, a.Package); err != nil {
			return err
		}
		if err := keepChanges(tree, before); err != nil {
			return err
		}
		return errors.Join(makeExt4(filepath.Join(dir, "slot.ext4"), tree, imageSize, "rootfs"), os.RemoveAll(tree))
	})
	return filepath.Join(dir, "slot.ext4"), err
}

// readyForPackages gives a slot books of dpkg, empty ones: with Debian's own
// every image would be larger. What Debian's packages were unpacked without
// (manual pages) is not to be left out of the agent's package as well.
func readyForPackages(tree string) error {
	books := filepath.Join(tree, "var/lib/dpkg")
	for _, name := range []string{"info", "updates", "triggers", "alternatives"} {
		if err := os.MkdirAll(filepath.Join(books, name), 0o755); err != nil {
			return err
		}
	}
	return errors.Join(
		writeFile(filepath.Join(books, "status"), nil, 0o644), writeFile(filepath.Join(books, "available"), nil, 0o644),
		os.Remove(filepath.Join(tree, "etc/dpkg/dpkg.cfg.d/99mmdebstrap")))
}

// unpackSlot puts a slot into tree, with the base system's /usr.
func unpackSlot(fw *Firmware, tree string) error {
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	if err := command(nil, "tar", "-C", tree, "-xpf", fw.slotTree); err != nil {
		return err
	}
	return command(nil, "tar", "-C", tree, "-xpf", fw.root, "./usr")
}

// installing runs the board's own dpkg in the tree $1, as an image is made: no
// systemd runs there, so the package's scripts enable the unit and start
// nothing. In a mount namespace, of which nothing is left.
const installing = `set -e
mount -t proc proc "$1/proc"
mount -t tmpfs -o mode=0755 run "$1/run"
mount -t tmpfs -o mode=0755 dev "$1/dev"
mknod -m 0666 "$1/dev/null" c 1 3
cp "$2" "$1/run/usbagent.deb"
exec chroot "$1" /usr/bin/env -i ` + dpkgEnvironment + ` dpkg -i /run/usbagent.deb`

// dpkgEnvironment is what dpkg wants to see.
const dpkgEnvironment = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C"

func installInto(tree, deb string) error {
	if err := EnableForeignBinaries(); err != nil {
		return err
	}
	return command(nil, "unshare", "--mount", "sh", "-c", installing, "sh", tree, deb)
}

// filesBelow lists what is below dir and no directory.
func filesBelow(dir string) (map[string]fs.FileInfo, error) {
	files := map[string]fs.FileInfo{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[rel], err = d.Info()
		return err
	})
	return files, err
}

// keepChanges moves what is new below /usr to where a slot keeps its own part
// of it, and takes the base system's out again.
func keepChanges(tree string, before map[string]fs.FileInfo) error {
	usr := filepath.Join(tree, "usr")
	after, err := filesBelow(usr)
	if err != nil {
		return err
	}
	for path, was := range before {
		now := after[path]
		if now == nil {
			return fmt.Errorf("the package took /usr/%s, which is the base system's", path)
		}
		if os.SameFile(was, now) && changed(was) == changed(now) {
			delete(after, path)
		}
	}
	for path := range after {
		own := filepath.Join(tree, ".usr/upper", path)
		if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(usr, path), own); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(usr), os.Mkdir(usr, 0o755))
}

// changed is when the kernel last saw a change of the file.
func changed(info fs.FileInfo) syscall.Timespec { return info.Sys().(*syscall.Stat_t).Ctim }

// Carry copies files into a directory of a running board by a stick of its
// own, past an agent.
func (b *Board) Carry(ctx context.Context, dir string, files ...File) error {
	path := filepath.Join(b.dir, "carried.img")
	if err := WriteStick(path, "disk", Part{FileSystem: FileSystem{Type: "ext2", Files: files}}); err != nil {
		return err
	}
	stick := NewStick(path)
	if _, err := b.Plug(stick); err != nil {
		return err
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	if err := b.shell(ctx, `set -e
i=0; while [ ! -b /dev/sda ]; do i=$((i+1)); [ $i -lt 600 ]; sleep 0.1; done
mkdir -p /run/carry; mount -o ro /dev/sda /run/carry
cd /run/carry; cp `+strings.Join(names, " ")+" "+dir+`; cd /
umount /run/carry; rmdir /run/carry; sync`); err != nil {
		return err
	}
	if err := b.Pull(stick); err != nil {
		return err
	}
	return b.shell(ctx, "i=0; while [ -b /dev/sda ]; do i=$((i+1)); [ $i -lt 600 ]; sleep 0.1; done")
}

// shell runs shell lines in the board, which have to succeed.
func (b *Board) shell(ctx context.Context, lines string) error {
	status, out, err := b.Run(ctx, "sh", "-c", lines)
	if err == nil && status != 0 {
		err = fmt.Errorf("status %d: %s", status, tail(out, 2000))
	}
	if err != nil {
		return fmt.Errorf("on the board: %s: %w", tail(lines, 200), err)
	}
	return nil
}

// install installs the agent on a running board that has no agent: the
// package's scripts enable and start it.
func (b *Board) install(a *Agent) error {
	ctx, cancel := context.WithTimeout(context.Background(), BootTimeout)
	defer cancel()
	if err := b.Carry(ctx, "/run", File{Name: "usbagent.deb", Path: a.Package}); err != nil {
		return err
	}
	if err := b.shell(ctx, "env "+dpkgEnvironment+" dpkg -i /run/usbagent.deb 2>&1 && rm /run/usbagent.deb && systemctl is-active usbagent && sync"); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // systemd and the journal finish what they were at
	return b.shell(ctx, "sync")
}
