// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// pcModules is what the small PC loads, in its initramfs.
var pcModules = []string{
	"xhci_pci", "usb-storage", "uas", "sd_mod", "ext4", "vfat", "exfat", "nls_cp437", "nls_iso8859-1", "nls_utf8", "nls_ascii",
	"virtio_pci", "virtio_blk", "crc32c_generic", "atkbd", "i8042", "input-leds", "ledtrig-timer", "fuse", "loop",
}

// BuildPC returns a small q35 machine with xHCI and the agent for amd64: for
// hubs, many sticks at once and UAS, which the i.MX6's ports lack in QEMU. It
// has no systemd and no RAUC.
func BuildPC(c *Cache, a *Agent) (*Firmware, error) {
	if err := InstallHostTools(c.Say); err != nil {
		return nil, err
	}
	kernel, err := kernelLayer(c, "amd64", "amd64")
	if err != nil {
		return nil, err
	}
	pki, err := PKILayer(c)
	if err != nil {
		return nil, err
	}
	inputs, err := smallInputs()
	if err != nil {
		return nil, err
	}
	inputs = append(inputs, kernel, pki.dir, a.id, strings.Join(pcModules, " "), "2")
	dir, err := c.Layer("pc", inputs, func(dir string) error {
		if err := pcDisk(dir, pki); err != nil {
			return err
		}
		return buildSmall(dir, kernel, "amd64", "files/small/pc.toml", pcModules, a, pki)
	})
	return &Firmware{Kernel: filepath.Join(dir, "vmlinuz"), Initramfs: filepath.Join(dir, "initramfs"),
		Slot: filepath.Join(dir, "srv.img"), PKI: pki, id: dir, command: pcCommand, bus: "xhci.0"}, err
}

// pcDisk makes the PC's disk: the keyring, as on a board a link to the vendor's
// CA, and room for the list and the state directory.
func pcDisk(dir string, pki PKI) error {
	tree := filepath.Join(dir, "tree")
	if err := copyFile(filepath.Join(tree, "rauc", "vendor-ca.pem"), pki.VendorCA, 0o644); err != nil {
		return err
	}
	if err := link("vendor-ca.pem", filepath.Join(tree, "rauc", "keyring.pem")); err != nil {
		return err
	}
	return errors.Join(makeExt4(filepath.Join(dir, "srv.img"), tree, 96*mib, "srv"), os.RemoveAll(tree))
}

// smallInputs is what the small machines are made from besides the kernel.
func smallInputs() ([]string, error) {
	inputs, err := readTree(embedded, "files/init-small", "files/small")
	if err != nil {
		return nil, err
	}
	guestd, err := readTree(guestdSource, ".")
	return append(inputs, guestd...), err
}

// buildSmall writes kernel and initramfs of a machine that is all initramfs.
func buildSmall(dir, kernel, arch, config string, moduleNames []string, a *Agent, pki PKI) error {
	release, err := os.ReadFile(filepath.Join(kernel, "release"))
	if err != nil {
		return err
	}
	root := filepath.Join(kernel, "root")
	if err := copyFile(filepath.Join(dir, "vmlinuz"), filepath.Join(root, "boot", "vmlinuz-"+string(release)), 0o644); err != nil {
		return err
	}
	files, err := skeleton(root)
	if err != nil {
		return err
	}
	modules, err := readModules(root, string(release))
	if err != nil {
		return err
	}
	boot, err := modules.bootModules(moduleNames...)
	if err != nil {
		return err
	}
	guestd := filepath.Join(dir, "guestd")
	if err := buildGuestd(guestd, arch); err != nil {
		return err
	}
	files = append(files, boot...)
	for _, d := range []string{"etc/rauc", "etc/usbagent"} {
		files = append(files, archiveFile{name: d, mode: modeDir | 0o755})
	}
	init, err := embedded.ReadFile("files/init-small")
	if err != nil {
		return err
	}
	text, err := embedded.ReadFile(config)
	if err != nil {
		return err
	}
	files = append(files, archiveFile{name: "init", mode: modeRegular | 0o755, data: init},
		archiveFile{name: "etc/usbagent/config.toml", mode: modeRegular | 0o644, data: text})
	for _, f := range []struct {
		name, from string
		mode       uint32
	}{
		{"bin/guestd", guestd, 0o755}, {"usr/bin/usbagent", a.Binary, 0o755},
		{"etc/rauc/vendor-ca.pem", pki.VendorCA, 0o644}, {"etc/rauc/keyring.pem", pki.VendorCA, 0o644},
	} {
		data, err := os.ReadFile(f.from)
		if err != nil {
			return err
		}
		files = append(files, archiveFile{name: f.name, mode: modeRegular | f.mode, data: data})
	}
	return writeArchive(filepath.Join(dir, "initramfs"), files)
}

// pcCommand starts the PC, emulated: KVM is not everywhere where CI is.
func pcCommand(b *Board, _, console string) (string, []string) {
	return "qemu-system-x86_64", []string{
		"-M", "q35", "-m", "512M", "-display", "none", "-monitor", "none", "-nic", "none",
		"-kernel", b.firmware.Kernel, "-initrd", b.firmware.Initramfs,
		"-append", "console=ttyS0 loglevel=6 panic=1 guest=/dev/ttyS1 needs-srv",
		"-drive", "if=virtio," + b.drive(),
		"-device", "qemu-xhci,id=xhci", "-device", "usb-hub,id=hub,bus=xhci.0,port=1",
		"-chardev", console, "-serial", "chardev:console", "-serial", "chardev:guest",
	}
}
