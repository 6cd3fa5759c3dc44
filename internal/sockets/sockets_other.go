// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

// Package sockets exists on Linux only.
package sockets
