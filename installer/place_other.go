// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package installer

import (
	"errors"
	"os"
)

// freeSpace is for boards; nothing is staged elsewhere.
func freeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }

// LocationOf is for boards; nothing is installed elsewhere.
func LocationOf(*os.File) (Location, error) { return Location{}, errors.ErrUnsupported }
