// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/ledger"
	"usbagent/netlink"
)

// Process does once, with the mounted directory dir, what the daemon does with
// a stick that was plugged freshly. It returns what came of it; an error means
// that the directory could not be read at all. It neither mounts nor unmounts,
// and it does not write status.json, which is the daemon's.
func (a *Agent) Process(ctx context.Context, dir string) (ledger.Stick, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ledger.Stick{}, err
	}
	d, err := openDirectory(dir)
	if err != nil {
		return ledger.Stick{}, fmt.Errorf("open %s: %w", dir, plain(err))
	}
	a.status.path = ""
	stickCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &stick{disk: netlink.Disk{Name: filepath.Base(dir)}, ctx: stickCtx, cancel: cancel, log: a.Log}
	s.entry = ledger.Stick{BootID: a.BootID, Device: filepath.Base(dir), Mountpoint: Show(dir), Started: time.Now()}
	s.light.Working = true
	s.volumes = []*volume{{directory: d, device: filepath.Base(dir), target: dir, fold: Folds(dir)}}
	a.sticks = []*stick{s}
	a.publish()
	a.adopt(ctx)
	close(a.adopted)
	close(a.settled) // what became of the last installation is for the daemon to find out
	if err := a.read(s); err != nil {
		return ledger.Stick{}, err
	}
	a.conclude(ctx, s)
	return s.entry, nil
}

// The magic numbers (statfs(2), linux/magic.h) of the file systems whose names
// are compared without regard to case.
const (
	exfatMagic = 0x2011BAB0
	ntfsMagic  = 0x5346544E
	ntfs3Magic = 0x7366746E
)

// Folds reports whether names in dir are compared without regard to case.
// ntfs-3g cannot be told from other FUSE file systems by its number; all of
// them count as folding, which only finds more names.
func Folds(dir string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.MSDOS_SUPER_MAGIC, exfatMagic, ntfsMagic, ntfs3Magic, unix.FUSE_SUPER_MAGIC:
		return true
	}
	return false
}
