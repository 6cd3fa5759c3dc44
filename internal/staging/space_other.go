// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package staging

import "errors"

// FreeSpace is for boards; nothing is staged elsewhere.
func FreeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }
