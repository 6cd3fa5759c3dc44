// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !amd64 && !arm && !arm64

package mount

// No filter, so no ntfs-3g: see newFilter.
const archToken = 0

var archCalls, fakedCalls []uint32
