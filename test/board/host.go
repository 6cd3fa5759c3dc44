// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"time"
)

// hostPackages names the Debian package of each program the builder and the
// tests start on the host.
var hostPackages = map[string]string{
	"qemu-system-arm":    "qemu-system-arm",
	"qemu-system-x86_64": "qemu-system-x86",
	"qemu-img":           "qemu-utils",
	"qemu-arm-static":    "qemu-user-static",
	"update-binfmts":     "binfmt-support",
	"mmdebstrap":         "mmdebstrap",
	"fdtput":             "device-tree-compiler",
	"mcopy":              "mtools",
	"mkfs.vfat":          "dosfstools",
	"mkfs.exfat":         "exfatprogs",
	"ntfscp":             "ntfs-3g",
	"mke2fs":             "e2fsprogs",
	"debugfs":            "e2fsprogs",
	"fw_setenv":          "libubootenv-tool",
	"mksquashfs":         "squashfs-tools",
	"sfdisk":             "fdisk",
	"rauc":               "rauc",
	"openssl":            "openssl",
	"depmod":             "kmod",
	"dpkg-deb":           "dpkg",
	"make":               "make",
}

// InstallHostTools makes sure that every program of the builder is there: as
// root it installs what is missing, else it says what to install.
func InstallHostTools(say func(string, ...any)) error {
	missing := map[string]bool{}
	for program, pkg := range hostPackages {
		if _, err := exec.LookPath(program); err != nil {
			missing[pkg] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var list []string
	for pkg := range missing {
		list = append(list, pkg)
	}
	sort.Strings(list)
	if os.Geteuid() != 0 {
		return fmt.Errorf("the emulated board needs root and the packages %s", strings.Join(list, " "))
	}
	say("installing %s", strings.Join(list, " "))
	if err := command(nil, "apt-get", "-q", "update"); err != nil {
		return err
	}
	args := append([]string{"-q", "-y", "--no-install-recommends", "install"}, list...)
	return command([]string{"DEBIAN_FRONTEND=noninteractive"}, "apt-get", args...)
}

// EnableForeignBinaries lets this machine run armhf programs, which the
// maintainer scripts in the board's root file system are.
func EnableForeignBinaries() error {
	const dir = "/proc/sys/fs/binfmt_misc"
	if _, err := os.Stat(dir + "/register"); err != nil {
		if err := command(nil, "mount", "-t", "binfmt_misc", "binfmt_misc", dir); err != nil {
			return err
		}
	}
	if _, err := os.Stat(dir + "/qemu-arm"); err == nil {
		return nil
	}
	return command(nil, "update-binfmts", "--enable", "qemu-arm")
}

// CommandTimeout bounds one program run by the builder on the host.
const CommandTimeout = 20 * time.Minute

// command runs a program and puts what it printed into the error.
func command(env []string, name string, args ...string) error {
	_, err := output(env, name, args...)
	return err
}

// output runs a program and returns its standard output.
func output(env []string, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), CommandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), append([]string{"LC_ALL=C", "PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin"}, env...)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, tail(errOut.String()+out.String(), 2000))
	}
	return out.Bytes(), nil
}

// tail is the end of s, at most n bytes.
func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) > n {
		s = "…" + s[len(s)-n:]
	}
	return s
}
