// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"errors"
	"os"
	"path/filepath"
)

// BuildBusybox returns the small PC with a disk of its own as root file system:
// busybox is its init, the agent's package is unpacked on it, with its default
// configuration, and there is nothing else; neither /media nor /srv.
func BuildBusybox(c *Cache, a *Agent) (*Firmware, error) {
	pc, err := BuildPC(c, a)
	if err != nil {
		return nil, err
	}
	kernel, err := kernelLayer(c, "amd64", "amd64")
	if err != nil {
		return nil, err
	}
	inputs, err := readTree(embedded, "files/busybox")
	if err != nil {
		return nil, err
	}
	dir, err := c.Layer("busybox", append(inputs, pc.id, kernel, "1"), func(dir string) error {
		tree := filepath.Join(dir, "tree")
		if err := busyboxTree(tree, filepath.Join(kernel, "root"), pc.PKI, a); err != nil {
			return err
		}
		return errors.Join(makeExt4(filepath.Join(dir, "root.img"), tree, 96*mib, "root"), os.RemoveAll(tree))
	})
	fw := *pc
	fw.Slot, fw.id = filepath.Join(dir, "root.img"), dir
	fw.command = func(b *Board, slot, console string) (string, []string) {
		program, args := pcCommand(b, slot, console)
		for i, arg := range args {
			if arg == "-append" {
				args[i+1] += " root=/dev/vda"
			}
		}
		return program, args
	}
	return &fw, err
}

// busyboxTree makes that root file system; kernel is where busybox was unpacked.
func busyboxTree(tree, kernel string, pki PKI, a *Agent) error {
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	for _, d := range []string{"bin", "sbin", "dev", "proc", "sys", "run", "tmp", "var", "etc/rauc"} {
		if err := os.MkdirAll(filepath.Join(tree, d), 0o755); err != nil {
			return err
		}
	}
	at := func(name string) string { return filepath.Join(tree, name) }
	for _, name := range []string{"etc/inittab", "etc/init.d/rcS"} {
		text, err := embedded.ReadFile("files/busybox/" + name)
		if err != nil {
			return err
		}
		if err := writeFile(at(name), text, 0o755); err != nil {
			return err
		}
	}
	return errors.Join(
		copyFile(at("bin/busybox"), filepath.Join(kernel, "bin/busybox"), 0o755),
		link("busybox", at("bin/sh")), link("/bin/busybox", at("sbin/init")),
		copyFile(at("etc/rauc/vendor-ca.pem"), pki.VendorCA, 0o644), link("vendor-ca.pem", at("etc/rauc/keyring.pem")),
		buildGuestd(at("bin/guestd"), "amd64"),
		command(nil, "dpkg-deb", "-x", a.Package, tree))
}
