// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// unmountBelow undoes mounts that an agent which died has left below dir.
func unmountBelow(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if unix.Unmount(path, unix.MNT_DETACH) == nil {
			os.Remove(path)
		}
	}
}

// sweep removes what a demonstration that was killed has left in dir.
func sweep(ctx context.Context, dir string) {
	unmountBelow(filepath.Join(dir, "board/media"))
	for _, device := range loops(ctx, dir) {
		_ = command(ctx, "losetup", "--detach", device)
	}
}

// leftovers returns an error that names what is still mounted or attached in dir.
func leftovers(ctx context.Context, dir string) error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), " "+dir+"/") {
		return fmt.Errorf("something below %s is still mounted", dir)
	}
	if devices := loops(ctx, dir); len(devices) > 0 {
		return fmt.Errorf("still attached: %s", strings.Join(devices, ", "))
	}
	return nil
}

// loops lists the loop devices whose files lie in dir.
func loops(ctx context.Context, dir string) (devices []string) {
	out, _ := exec.CommandContext(ctx, "losetup", "--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE").Output()
	for line := range strings.Lines(string(out)) {
		if name, file, ok := strings.Cut(line, " "); ok && strings.HasPrefix(file, dir+"/") {
			devices = append(devices, name)
		}
	}
	return devices
}
