// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package netlink

import "os"

// opened is for Linux alone.
type opened struct{}

func (d dir) open() (dir, error) { return d, nil }

func (d dir) close() {}

func (d dir) read(name string) (string, error) {
	b, err := os.ReadFile(d.join(name).path)
	return string(b), err
}

func (d dir) link(name string) (string, error) { return os.Readlink(d.join(name).path) }

func (d dir) has(name string) bool {
	_, err := os.Lstat(d.join(name).path)
	return err == nil
}
