// SPDX-License-Identifier: GPL-3.0-or-later

package raucbench

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// tidy takes away what a killed service left: mounts, and loop devices over
// its bundles.
func (b *Bench) tidy() {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], filepath.Join(b.Dir, "mount")+"/") {
			unix.Unmount(fields[1], unix.MNT_DETACH)
		}
	}
	backing, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, path := range backing {
		file, _ := os.ReadFile(path)
		if strings.HasPrefix(string(file), b.Dir+"/") {
			detach("/dev/" + filepath.Base(filepath.Dir(filepath.Dir(path))))
		}
	}
}

// detach frees a loop device.
func detach(device string) {
	f, err := os.OpenFile(device, os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer f.Close()
	unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0)
}
