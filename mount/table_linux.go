// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// mountedAt returns where d is mounted in this mount namespace; "" where it is not.
func mountedAt(d Device) (string, error) {
	infos, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return !onDevice(i, d), false })
	if err != nil {
		return "", fmt.Errorf("read mountinfo: %w", err)
	}
	if len(infos) == 0 {
		return "", nil
	}
	return infos[0].Mountpoint, nil
}

// onDevice reports whether the file system of i lies on d.
func onDevice(i *mountinfo.Info, d Device) bool {
	return i.Major == int(d.Major) && i.Minor == int(d.Minor)
}

// mountsAt returns the mounts on target, lowest first.
func mountsAt(target string) ([]*mountinfo.Info, error) {
	infos, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return i.Mountpoint != target, false })
	if err != nil {
		return nil, fmt.Errorf("read mountinfo: %w", err)
	}
	return infos, nil
}

// mountsBelow returns the mounts on target and below it, in the order in
// which they were made.
func mountsBelow(target string) ([]*mountinfo.Info, error) {
	infos, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) {
		return i.Mountpoint != target && !strings.HasPrefix(i.Mountpoint, target+"/"), false
	})
	if err != nil {
		return nil, fmt.Errorf("read mountinfo: %w", err)
	}
	return infos, nil
}

// proveMount returns the id of d's mount on target, once mountinfo says that
// it is on top there and read-only, nosuid and nodev.
func proveMount(target string, d Device) (int, error) {
	infos, err := mountsAt(target)
	if err != nil {
		return 0, err
	}
	if len(infos) == 0 {
		return 0, fmt.Errorf("prove the mount: nothing is mounted on %s", target)
	}
	top := infos[len(infos)-1]
	if !onDevice(top, d) {
		return 0, fmt.Errorf("prove the mount: %d:%d is mounted on %s", top.Major, top.Minor, target)
	}
	options := strings.Split(top.Options, ",")
	for _, want := range []string{"ro", "nosuid", "nodev"} {
		if !slices.Contains(options, want) {
			return 0, fmt.Errorf("prove the mount: %s is missing in %q", want, top.Options)
		}
	}
	return top.ID, nil
}
