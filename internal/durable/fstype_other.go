// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package durable

// FSType knows no file systems outside Linux; only the desk commands run there.
func FSType(string) (name string, volatile bool, err error) { return "", false, nil }
