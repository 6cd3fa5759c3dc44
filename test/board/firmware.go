// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

//go:embed all:files
var embedded embed.FS

//go:embed guestd/main.go wire/wire.go
var guestdSource embed.FS

// packages is what the board's root file system is made of.
var packages = []string{
	"systemd", "systemd-sysv", "udev", "dbus", "kmod", "mount", "util-linux", "procps",
	"rauc", "rauc-service", "squashfs-tools", "openssl", "ntfs-3g", "libubootenv-tool", "e2fsprogs",
}

// rootModules is what the root file system may load after the initramfs.
var rootModules = []string{
	"anatop-regulator", "gpio-mxc", "leds-gpio", "ledtrig-timer", "loop", "squashfs", "dm-verity",
	"usb-storage", "uas", "sd_mod", "ci_hdrc_imx", "phy-mxs-usb", "usbmisc_imx", "imx2_wdt", "fat", "vfat",
	"exfat", "fuse", "sha256-arm", "autofs4",
}

// initramfsModules is what mounts a slot.
var initramfsModules = []string{
	"gpio-mxc", "sdhci", "cqhci", "sdhci-pltfm", "sdhci-esdhc-imx", "mmc_block", "crc32-arm-ce", "crc32c_generic",
	"jbd2", "mbcache", "crc16", "ext4", "overlay",
}

// Firmware is the board without the agent, as files for QEMU.
type Firmware struct {
	// Kernel, DeviceTree, Initramfs are what QEMU starts.
	Kernel, DeviceTree, Initramfs string
	// Base is the second card: the system below every slot's own /usr.
	Base string
	// Slot is the file system image of a slot, without the agent.
	Slot string
	// The same as a tar archive, and the system it was taken from with its /usr.
	slotTree, root string
	PKI            PKI
	id             string
	// command is how QEMU is started from a slot, with that console.
	command func(b *Board, slot, console string) (program string, args []string)
	bus     string // the USB bus that sticks are plugged into
	// The LED's bit in a register that QEMU's monitor can read; 0 for none.
	ledRegister, ledBit uint32
	bootLoader          bool // the card has slots and an environment
}

// BuildFirmware returns the firmware, built where the cache has none: about
// four minutes and 500 MB the first time.
func BuildFirmware(c *Cache) (*Firmware, error) {
	if err := InstallHostTools(c.Say); err != nil {
		return nil, err
	}
	kernel, err := kernelLayer(c, "armhf", "armmp")
	if err != nil {
		return nil, err
	}
	root, err := rootLayer(c)
	if err != nil {
		return nil, err
	}
	base, err := baseLayer(c, kernel, root)
	if err != nil {
		return nil, err
	}
	pki, err := PKILayer(c)
	if err != nil {
		return nil, err
	}
	inputs, err := readTree(embedded, "files/init", "files/slot")
	if err != nil {
		return nil, err
	}
	guestd, err := readTree(guestdSource, ".")
	if err != nil {
		return nil, err
	}
	inputs = append(append(inputs, guestd...), base, pki.dir, strings.Join(initramfsModules, " "), strings.Join(disabledNodes, " "), firmwareVersion)
	dir, err := c.Layer("firmware", inputs, func(dir string) error { return buildFirmware(dir, kernel, base, pki) })
	if err != nil {
		return nil, err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	return &Firmware{
		Kernel: at("vmlinuz"), DeviceTree: at("board.dtb"), Initramfs: at("initramfs"),
		Base: filepath.Join(base, "base.img"), Slot: at("slot.ext4"), PKI: pki, id: dir,
		slotTree: at("slot.tar"), root: filepath.Join(root, "root.tar"),
		command: boardCommand, bus: "usb-bus.0",
		ledRegister: ledRegister, ledBit: ledBit, bootLoader: true,
	}, nil
}

// firmwareVersion changes when code, not a file, changes the firmware.
const firmwareVersion = "3"

// kernelLayer is Debian's kernel of that flavour, unpacked.
func kernelLayer(c *Cache, arch, flavour string) (string, error) {
	return c.Layer("kernel-"+arch, []string{Release, flavour, "1"}, func(dir string) error {
		_, err := unpackKernel(dir, arch, flavour)
		return err
	})
}

// PKILayer generates the test certificates once.
func PKILayer(c *Cache) (PKI, error) {
	dir, err := c.Layer("pki", []string{"1"}, makePKI)
	return openPKI(dir), err
}

// rootLayer is the Debian root file system as a tar archive.
func rootLayer(c *Cache) (string, error) {
	return c.Layer("root", append([]string{Release, "2"}, packages...), func(dir string) error {
		if err := EnableForeignBinaries(); err != nil {
			return err
		}
		source, err := debianSource()
		if err != nil {
			return err
		}
		args := []string{"--architectures=armhf", "--variant=essential", "--mode=root", "--skip=check/qemu",
			"--include=" + strings.Join(packages, ","), "--dpkgopt=force-unsafe-io",
			"--aptopt=Apt::Install-Recommends \"false\"", "--aptopt=APT::Sandbox::User \"root\""}
		for _, path := range []string{"doc", "man", "locale", "info", "bash-completion", "i18n"} {
			args = append(args, "--dpkgopt=path-exclude=/usr/share/"+path+"/*")
		}
		return command(nil, "mmdebstrap", append(args, Release, filepath.Join(dir, "root.tar"), source)...)
	})
}

// baseLayer splits the root file system: base.img holds /usr with the kernel's
// modules, slot.tar all else, of which every slot has its own copy.
func baseLayer(c *Cache, kernel, root string) (string, error) {
	inputs := append([]string{kernel, root, "3"}, rootModules...)
	return c.Layer("base", inputs, func(dir string) error {
		tree := filepath.Join(dir, "tree")
		if err := os.Mkdir(tree, 0o755); err != nil {
			return err
		}
		if err := command(nil, "tar", "-C", tree, "-xpf", filepath.Join(root, "root.tar")); err != nil {
			return err
		}
		if err := addModules(kernel, tree); err != nil {
			return err
		}
		image := filepath.Join(dir, "base.img")
		content := filepath.Join(dir, "content")
		if err := os.Mkdir(content, 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(tree, "usr"), filepath.Join(content, "usr")); err != nil {
			return err
		}
		if err := makeExt4(image, content, 512*mib, "base"); err != nil {
			return err
		}
		if err := trimSlot(tree); err != nil {
			return err
		}
		if err := command(nil, "tar", "-C", tree, "-cpf", filepath.Join(dir, "slot.tar"), "."); err != nil {
			return err
		}
		return errors.Join(os.RemoveAll(content), os.RemoveAll(tree))
	})
}

// addModules puts the kernel's modules into tree (usr/lib behind its link).
func addModules(kernel, tree string) error {
	release, err := os.ReadFile(filepath.Join(kernel, "release"))
	if err != nil {
		return err
	}
	modules, err := readModules(filepath.Join(kernel, "root"), string(release))
	if err != nil {
		return err
	}
	names := append(modules.matching("nls_"), rootModules...)
	return modules.copyModules(tree, string(release), names)
}

// trimSlot removes what no running board needs and makes the mount points.
func trimSlot(tree string) error {
	for _, path := range []string{"var/lib/dpkg", "var/lib/apt", "var/cache/apt", "var/cache/debconf", "var/lib/systemd/catalog", "etc/ssl/certs", "boot", "dev", "run", "var/log"} {
		if err := os.RemoveAll(filepath.Join(tree, path)); err != nil {
			return err
		}
	}
	for _, path := range []string{"usr", "dev", "run", "var/log", "var/cache", "etc/ssl/certs", ".usr/upper/bin", ".usr/upper/local/sbin", ".usr/upper/lib/systemd/system", ".usr/work"} {
		if err := os.MkdirAll(filepath.Join(tree, path), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// makeExt4 fills an ext4 file system of size bytes with tree, unmounted.
func makeExt4(image, tree string, size int64, label string) error {
	if err := makeSparse(image, size); err != nil {
		return err
	}
	return command(nil, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-J", "size=4", "-m", "0", "-L", label,
		"-E", "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0", "-d", tree, image)
}

// maskedUnits cost the slow board time and do nothing for it.
var maskedUnits = []string{
	"getty@tty1.service", "systemd-pstore.service", "e2scrub_reap.service", "e2scrub_all.timer", "fstrim.timer",
	"dpkg-db-backup.timer", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-binfmt.service",
	"proc-sys-fs-binfmt_misc.automount", "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount",
	"sys-kernel-tracing.mount", "systemd-hwdb-update.service", "systemd-journal-catalog-update.service", "systemd-firstboot.service",
	"systemd-repart.service", "systemd-machine-id-commit.service", "systemd-random-seed.service", "systemd-sysusers.service",
	"systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "systemd-remount-fs.service", "ldconfig.service",
	"systemd-ask-password-console.path", "systemd-ask-password-wall.path", "motd-news.timer", "systemd-initctl.socket",
	"systemd-journald-audit.socket", "systemd-journal-flush.service", "modprobe@drm.service", "modprobe@configfs.service",
}

// wantedUnits are enabled: unit and the target that wants it.
var wantedUnits = map[string]string{
	"guestd.service":               "sysinit.target.wants",
	"rauc-mark-good.service":       "multi-user.target.wants",
	"serial-getty@ttymxc0.service": "getty.target.wants",
}

// dressSlot turns the Debian remains in tree into a slot of the board.
func dressSlot(tree string, pki PKI) error {
	slot, err := fs.Sub(embedded, "files/slot")
	if err != nil {
		return err
	}
	err = fs.WalkDir(slot, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(slot, path)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(tree, path), data, 0o644)
	})
	if err != nil {
		return err
	}
	units := filepath.Join(tree, "etc/systemd/system")
	for _, unit := range maskedUnits {
		if err := link("/dev/null", filepath.Join(units, unit)); err != nil {
			return err
		}
	}
	for unit, target := range wantedUnits {
		if err := link("/etc/systemd/system/"+unit, filepath.Join(units, target, unit)); err != nil {
			return err
		}
	}
	getty := filepath.Join(units, wantedUnits["serial-getty@ttymxc0.service"], "serial-getty@ttymxc0.service")
	if err := link("/lib/systemd/system/serial-getty@.service", getty); err != nil {
		return err
	}
	// The keyring as a board leaves the factory: a link to the vendor's CA.
	if err := copyFile(filepath.Join(tree, "etc/rauc/vendor-ca.pem"), pki.VendorCA, 0o644); err != nil {
		return err
	}
	if err := link("vendor-ca.pem", filepath.Join(tree, "etc/rauc/keyring.pem")); err != nil {
		return err
	}
	// What systemd compares with /usr to find out that it is a first boot.
	for _, name := range []string{"etc/.updated", "var/.updated"} {
		if err := writeFile(filepath.Join(tree, name), nil, 0o644); err != nil {
			return err
		}
	}
	return readyForPackages(tree)
}

// link makes a symbolic link, in place of what is there.
func link(target, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	os.Remove(path)
	return os.Symlink(target, path)
}

// buildFirmware assembles what the card and QEMU get.
func buildFirmware(dir, kernel, base string, pki PKI) error {
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	if err := command(nil, "tar", "-C", tree, "-xpf", filepath.Join(base, "slot.tar")); err != nil {
		return err
	}
	if err := dressSlot(tree, pki); err != nil {
		return err
	}
	if err := buildGuestd(filepath.Join(tree, ".usr/upper/local/sbin/guestd"), "arm"); err != nil {
		return err
	}
	if err := makeExt4(filepath.Join(dir, "slot.ext4"), tree, imageSize, "rootfs"); err != nil {
		return err
	}
	if err := command(nil, "tar", "-C", tree, "-cpf", filepath.Join(dir, "slot.tar"), "."); err != nil {
		return err
	}
	return errors.Join(buildBoot(dir, kernel), os.RemoveAll(tree))
}

// buildBoot writes kernel, device tree and initramfs to dir.
func buildBoot(dir, kernel string) error {
	release, err := os.ReadFile(filepath.Join(kernel, "release"))
	if err != nil {
		return err
	}
	root := filepath.Join(kernel, "root")
	if err := copyFile(filepath.Join(dir, "vmlinuz"), filepath.Join(root, "boot", "vmlinuz-"+string(release)), 0o644); err != nil {
		return err
	}
	dtb := filepath.Join(dir, "board.dtb")
	from := filepath.Join(root, "usr/lib", "linux-image-"+string(release), "imx6ul-14x14-evk.dtb")
	if err := copyFile(dtb, from, 0o644); err != nil {
		return err
	}
	if err := patchDeviceTree(dtb); err != nil {
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
	boot, err := modules.bootModules(initramfsModules...)
	if err != nil {
		return err
	}
	init, err := embedded.ReadFile("files/init")
	if err != nil {
		return err
	}
	files = append(append(files, boot...), archiveFile{name: "init", mode: modeRegular | 0o755, data: init})
	return writeArchive(filepath.Join(dir, "initramfs"), files)
}

// buildGuestd compiles the guest's side of the command channel.
func buildGuestd(path, arch string) error {
	return goBuild(path, arch, "usbagent/test/board/guestd")
}

// goBuild compiles a package statically for Linux on arch ("arm" is ARMv7).
func goBuild(path, arch, pkg string) error {
	env, flags := []string{"GOOS=linux", "GOARCH=" + arch, "CGO_ENABLED=0"}, "-s -w"
	if arch == "arm" {
		env, flags = append(env, "GOARM=7"), flags+" -R 4096" // as the Makefile
	}
	return command(env, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags="+flags, "-o", path, pkg)
}
