// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package led

import "errors"

func openGPIOChip(string, int) (driver, error) { return nil, errors.ErrUnsupported }
func openRPIO(string, int) (driver, error)     { return nil, errors.ErrUnsupported }
