// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"debug/buildinfo"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// binary is a program that is packed; what it is for it says itself.
type binary struct {
	path     string // absolute
	info     *debug.BuildInfo
	os, arch string // as Go names them
	arm      string // GOARM of an "arm"
}

// architecture is how the world outside names a Go architecture. The one for
// opkg is the least that boards of this kind accept (PACKAGE_EXTRA_ARCHS of
// their tunes): any ARMv7-A with hardware floating point, any ARMv8, any PC.
type architecture struct{ platform, deb, ipk string }

var architectures = map[string]architecture{
	"arm7":  {"armv7", "armhf", "armv7ahf-vfp"},
	"arm64": {"arm64", "arm64", "aarch64"},
	"amd64": {"amd64", "amd64", "x86_64"},
}

// readBinary reads what the Go linker left in the program at path.
func readBinary(path string) (binary, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return binary{}, err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return binary{}, err
	}
	b := binary{path: path, info: info}
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS":
			b.os = s.Value
		case "GOARCH":
			b.arch = s.Value
		case "GOARM":
			b.arm, _, _ = strings.Cut(s.Value, ",") // "7,hardfloat"
		}
	}
	if b.architecture() == (architecture{}) {
		return b, fmt.Errorf("%s: nothing is packed for %s/%s%s", path, b.os, b.arch, b.arm)
	}
	return b, nil
}

func (b binary) architecture() architecture { return architectures[b.arch+b.arm] }

// platform names it in file names: "linux-armv7".
func (b binary) platform() string { return b.os + "-" + b.architecture().platform }

func (b binary) suffix() string {
	if b.os == "windows" {
		return ".exe"
	}
	return ""
}
