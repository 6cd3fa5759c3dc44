// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package systembus

import (
	"errors"
	"fmt"
)

// open reaches no bus outside Linux; only the desk commands run there.
func open(path string) (Socket, error) {
	return nil, fmt.Errorf("dial unix %s: %w", path, errors.ErrUnsupported)
}
