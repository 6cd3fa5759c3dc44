// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package netlink

import "os"

func readAttribute(path string) (string, error) {
	b, err := os.ReadFile(path)
	return string(b), err
}
