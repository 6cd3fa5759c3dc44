// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"fmt"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"usbagent/internal/detach"
)

// MaxUnmounts bounds how many mounts Detach takes from one mount point.
const MaxUnmounts = 256

// Detach takes the mount away, with everything that is mounted on it or below
// it, removes the directory if Mount made it (an empty one that was there
// before stays, unless the mount is in use), and ends the ntfs-3g that served
// it. What nobody uses is unmounted cleanly; what is in use is detached as a
// whole and ends with its last user.
//
// It works when the device is gone, and may be called again: after a success
// it does nothing, after an error it tries anew. It may block as long as the
// device does.
func (x *Mount) Detach() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.detached {
		return nil
	}
	x.root.Close() // it would keep the mount busy
	patience := time.AfterFunc(HelperGrace, x.helper.kill)
	defer patience.Stop()
	if err := x.unmount(); err != nil {
		return fmt.Errorf("detach %s: %w", x.Target, err)
	}
	if err := also(x.helper.end(), x.m.dropPoint(x)); err != nil {
		return fmt.Errorf("detach %s: %w", x.Target, err)
	}
	x.detached = true
	return nil
}

// unmount repeats until mountinfo no longer shows the mount; where it never
// did, whatever lies on the target belongs to somebody else.
func (x *Mount) unmount() error {
	for range MaxUnmounts {
		infos, err := mountsBelow(x.Target)
		if err != nil {
			return err
		}
		if !x.among(infos) {
			return nil
		}
		if err := unmountAll(x.Target, len(infos) == 1); err != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d mounts", MaxUnmounts)
}

// among reports whether infos has the mount itself.
func (x *Mount) among(infos []*mountinfo.Info) bool {
	for _, i := range infos {
		if i.Mountpoint == x.Target && onDevice(i, x.Device) && (x.id == 0 || i.ID == x.id) {
			return true
		}
	}
	return false
}

// unmountAll takes away what lies on target: cleanly where that is one mount
// that nobody uses. Otherwise a script may run there, and the copy that covers
// its name on the stick must stay with it (package detach).
func unmountAll(target string, single bool) error {
	err := error(unix.EBUSY)
	if single {
		err = unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
	}
	if errors.Is(err, unix.EBUSY) {
		if detach.Connected(target) == nil {
			return nil
		}
		err = unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil // somebody else was quicker: look again
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}
