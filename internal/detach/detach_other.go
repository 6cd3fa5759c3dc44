// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

// Package detach exists on Linux only.
package detach
