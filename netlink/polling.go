// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// pollMillis is how often the kernel shall look for a medium in a reader where
// nobody else has it look: what udev's 60-block.rules choose.
const pollMillis = 2000

// EnablePolling has the kernel look for media in a reader that nobody polls:
// without udev, a card put into it is noticed only when somebody opens the
// disk. It does nothing where polling is on already, was chosen by somebody
// else, or is of no use (a plain stick). It opens no device.
func EnablePolling(root string, d Disk) error {
	if !validName(d.Name) {
		return fmt.Errorf("poll for media in %.64q: not a disk's name", d.Name)
	}
	at := blockDir(root).join(d.Name)
	if !needsPolling(at, sysDir(root), d.Removable) {
		return nil
	}
	f, err := os.OpenFile(at.join("events_poll_msecs").path, os.O_WRONLY, 0)
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("poll for media in %s: %w", d.Name, err)
	}
	_, err = f.WriteString(strconv.Itoa(pollMillis))
	if err := errors.Join(err, f.Close()); err != nil && !gone(err) {
		return fmt.Errorf("poll for media in %s: %w", d.Name, err)
	}
	return nil
}

// needsPolling reports whether the medium can change, the driver could tell,
// and nobody asks it: the disk follows the default (-1), and that is never (0).
func needsPolling(at, sys dir, removable bool) bool {
	if !removable {
		return false
	}
	events, err := at.raw("events")
	if err != nil || !slices.Contains(strings.Fields(events), "media_change") {
		return false
	}
	own, err := at.raw("events_poll_msecs")
	if err != nil || own != "-1" {
		return false
	}
	usual, err := sys.join("module/block/parameters").raw("events_dfl_poll_msecs")
	return err == nil && usual == "0"
}
