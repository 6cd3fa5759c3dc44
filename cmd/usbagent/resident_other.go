// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package main

// dropCode does nothing: desks have memory.
func dropCode() {}
