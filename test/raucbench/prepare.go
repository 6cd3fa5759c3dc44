// SPDX-License-Identifier: GPL-3.0-or-later

package raucbench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// bootHandler is the custom boot loader: a directory with the name of the
// primary slot and a file for each slot that is not good (RAUC reference
// manual, "Custom Bootloader Backend").
const bootHandler = `#!/bin/sh
cd "$(dirname "$0")/boot" || exit 1
case "$1" in
get-primary) cat primary ;;
set-primary) echo "$2" > primary.new && mv primary.new primary && rm -f "bad.$2" ;;
get-state) if [ -e "bad.$2" ]; then echo bad; else echo good; fi ;;
set-state) if [ "$3" = good ]; then rm -f "bad.$2"; else touch "bad.$2"; fi ;;
get-current) exit 1 ;;
*) exit 1 ;;
esac
`

// prepare makes everything that is not running.
func (b *Bench) prepare() error {
	b.Conf, b.Log = filepath.Join(b.Dir, "system.conf"), filepath.Join(b.Dir, "rauc.log")
	for _, dir := range []string{"boot", "mount", "bundles"} {
		if err := os.MkdirAll(filepath.Join(b.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	pki, err := NewPKI(filepath.Join(b.Dir, "pki"), "bench")
	if err != nil {
		return err
	}
	b.PKI = pki
	if b.Keyring == "" {
		b.Keyring = pki.Keyring
	}
	for _, slot := range []string{"A", "B"} {
		if err := b.makeSlot(slot); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(b.Dir, "boot-handler"), []byte(bootHandler), 0o755); err != nil {
		return err
	}
	if err := b.SetPrimary(b.BootSlot); err != nil {
		return err
	}
	return os.WriteFile(b.Conf, b.systemConf(), 0o644)
}

// makeSlot makes an empty slot where there is none.
func (b *Bench) makeSlot(name string) error {
	f, err := os.OpenFile(b.SlotPath(name), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(b.SlotSize)
}

// systemConf writes RAUC's configuration.
func (b *Bench) systemConf() []byte {
	var c bytes.Buffer
	fmt.Fprintf(&c, "[system]\ncompatible=%s\nbootloader=%s\nstatusfile=%s\n",
		b.Compatible, b.Bootloader, filepath.Join(b.Dir, "status.raucs"))
	if b.Formats != "" {
		fmt.Fprintf(&c, "bundle-formats=%s\n", b.Formats)
	}
	if b.System != "" {
		fmt.Fprintln(&c, b.System)
	}
	fmt.Fprintf(&c, "\n[keyring]\npath=%s\n", b.Keyring)
	if b.Bootloader == "custom" {
		fmt.Fprintf(&c, "\n[handlers]\nbootloader-custom-backend=%s\n", filepath.Join(b.Dir, "boot-handler"))
	}
	for i, name := range []string{"A", "B"} {
		fmt.Fprintf(&c, "\n[slot.rootfs.%d]\ndevice=%s\ntype=raw\nbootname=%s\n", i, b.SlotPath(name), name)
	}
	return c.Bytes()
}

// Primary returns the slot that the custom boot loader boots next.
func (b *Bench) Primary() string {
	text, _ := os.ReadFile(filepath.Join(b.Dir, "boot", "primary"))
	return string(bytes.TrimSpace(text))
}

// SetPrimary makes slot the one that boots next.
func (b *Bench) SetPrimary(slot string) error {
	return os.WriteFile(filepath.Join(b.Dir, "boot", "primary"), []byte(slot+"\n"), 0o644)
}

// SetBad makes the boot loader call a slot bad, or good again.
func (b *Bench) SetBad(slot string, bad bool) error {
	path := filepath.Join(b.Dir, "boot", "bad."+slot)
	if bad {
		return os.WriteFile(path, nil, 0o644)
	}
	if err := os.Remove(path); !os.IsNotExist(err) {
		return err
	}
	return nil
}
