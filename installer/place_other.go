// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package installer

import (
	"errors"
	"os"
)

// LocationOf is for boards; nothing is installed elsewhere.
func LocationOf(*os.File) (Location, error) { return Location{}, errors.ErrUnsupported }
