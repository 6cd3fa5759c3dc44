// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package main

import "os"

// forgetCached does nothing where there is no portable way.
func forgetCached(*os.File) {}
