// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"path/filepath"
	"strings"
)

// rpiModules is what the Raspberry Pi loads, in its initramfs.
var rpiModules = []string{"loop", "ext4", "crc32c_generic", "vfat", "nls_cp437", "nls_iso8859-1", "nls_utf8", "nls_ascii"}

// The Raspberry Pi's level register of the pins 0 to 31, and pin 16 in it.
const (
	rpiRegister = 0x3f200034
	rpiBit      = 1 << 16
)

// BuildRPi returns a Raspberry Pi 2 with the agent, for the LED backend that
// writes the SoC's registers itself. Its sticks are loop devices.
func BuildRPi(c *Cache, a *Agent) (*Firmware, error) {
	if err := InstallHostTools(c.Say); err != nil {
		return nil, err
	}
	kernel, err := kernelLayer(c, "armhf", "armmp")
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
	inputs = append(inputs, kernel, pki.dir, a.id, strings.Join(rpiModules, " "), "1")
	dir, err := c.Layer("rpi", inputs, func(dir string) error {
		dtbs, err := filepath.Glob(filepath.Join(kernel, "root/usr/lib/linux-image-*/bcm2836-rpi-2-b.dtb"))
		if err != nil {
			return err
		}
		if err := copyFile(filepath.Join(dir, "board.dtb"), dtbs[0], 0o644); err != nil {
			return err
		}
		if err := makeSparse(filepath.Join(dir, "none.img"), mib); err != nil {
			return err
		}
		return buildSmall(dir, kernel, "arm", "files/small/rpi.toml", rpiModules, a, pki)
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	return &Firmware{
		Kernel: at("vmlinuz"), Initramfs: at("initramfs"), DeviceTree: at("board.dtb"), Slot: at("none.img"), PKI: pki, id: dir,
		command: rpiCommand, ledRegister: rpiRegister, ledBit: rpiBit,
	}, err
}

// rpiCommand starts the Raspberry Pi. iomem=relaxed lets /dev/mem map the GPIO
// registers although the kernel's pin control driver has them.
func rpiCommand(b *Board, _, console string) (string, []string) {
	return "qemu-system-arm", []string{
		"-M", "raspi2b", "-display", "none", "-monitor", "none",
		"-kernel", b.firmware.Kernel, "-initrd", b.firmware.Initramfs, "-dtb", b.firmware.DeviceTree,
		"-append", "loglevel=3 panic=1 iomem=relaxed console=tty9 guest=/dev/ttyAMA0",
		"-chardev", console, "-serial", "chardev:guest", "-serial", "chardev:console",
	}
}
