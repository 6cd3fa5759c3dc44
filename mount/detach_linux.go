// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"usbagent/internal/detach"
)

// MaxUnmounts bounds how many mounts one Detach takes from one mount point.
const MaxUnmounts = 256

// Detach takes the mount away, with everything that is mounted on it or below
// it, removes the directory if Mount made it (an empty one that was there
// before stays), and ends the ntfs-3g that served it.
//
// What nobody uses is unmounted cleanly. What is in use goes out of sight and
// ends with its last user, who until then sees it as it was, with the mounts
// below it in their places: a script's verified copy stays over its name. Its
// ntfs-3g does not live so long: the stick is gone, or the agent would not
// have called.
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

// unmount goes on until mountinfo no longer shows the mount; where it never
// did, whatever lies on the target belongs to somebody else.
func (x *Mount) unmount() error {
	take := x.takeAway
	for range MaxUnmounts {
		infos, err := mountsBelow(x.Target)
		if err != nil {
			return err
		}
		if !x.among(infos) {
			return nil
		}
		err = take(len(infos) > 1)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, fs.ErrNotExist) { // those: somebody was quicker
			return err
		}
		take = x.takeOne // where that did not take all away
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

// takeAway unmounts what stands alone and is not used, and else detaches all
// that lies on the target as a whole, with the directory. Unmounting the
// mounts below one by one would uncover files of the stick for those who have
// their working directory there.
func (x *Mount) takeAway(covered bool) error {
	if !covered {
		err := unix.Unmount(x.Target, unix.UMOUNT_NOFOLLOW)
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	if err := detach.Connected(x.Target); err != nil {
		return x.takeOne(covered)
	}
	x.helper.kill() // its users would keep it alive
	if x.made {
		return nil
	}
	return os.Mkdir(x.Target, 0o755) // it was there before
}

// takeOne detaches the topmost mount of the target, with all below that.
func (x *Mount) takeOne(bool) error {
	return unix.Unmount(x.Target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
}
