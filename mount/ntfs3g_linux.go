// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"context"
	"fmt"
	"os"
)

// helper is the ntfs-3g process that serves a mount; the zero value is none.
type helper struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot, so that a reused PID is another process
}

func (h helper) alive() bool { return false }

func (h helper) end() error { return nil }

func (m *Mounter) ntfs3gTree(ctx context.Context, d Device) (*os.File, helper, error) {
	return nil, helper{}, fmt.Errorf("%w: ntfs-3g", ErrNoDriver)
}

// ConfinedMain is the main function of the hidden subcommand that confines
// itself and becomes ntfs-3g. It returns the exit status where it fails.
func ConfinedMain(args []string) int { return 1 }
