// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package agent

// Folds reports whether names in dir are compared without regard to case. At
// a desk without Linux a stick is FAT, exFAT or NTFS.
func Folds(string) bool { return true }
