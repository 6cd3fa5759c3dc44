// SPDX-License-Identifier: GPL-3.0-or-later

package raucbench

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Bundle says what a bundle is; every zero value is a good one.
type Bundle struct {
	Path       string // where it is written; "" for a name in the bench's directory
	Compatible string // the bench's
	Version    string // "1"
	Format     string // "plain" (default) or "verity"
	Content    []byte // of the root file system; random where nil
	Hook       string // a shell script that RAUC runs before it installs (install-check)
	PKI        *PKI   // signs it; the bench's
}

// Bundle makes a bundle with rauc and returns its path.
func (b *Bench) Bundle(o Bundle) (string, error) {
	o = b.bundleDefaults(o)
	dir, err := os.MkdirTemp(b.Dir, "content-")
	if err != nil {
		return "", fmt.Errorf("make bundle: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := o.fill(dir); err != nil {
		return "", fmt.Errorf("make bundle: %w", err)
	}
	os.Remove(o.Path)
	out, err := exec.Command("rauc", "--cert="+o.PKI.Cert, "--key="+o.PKI.Key, "--keyring="+o.PKI.Keyring,
		"bundle", dir, o.Path).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make bundle: %w: %s", err, out)
	}
	return o.Path, nil
}

func (b *Bench) bundleDefaults(o Bundle) Bundle {
	if o.Compatible == "" {
		o.Compatible = b.Compatible
	}
	if o.Version == "" {
		o.Version = "1"
	}
	if o.Format == "" {
		o.Format = "plain"
	}
	if o.Path == "" {
		o.Path = filepath.Join(b.Dir, "bundles", o.Format+"-"+o.Version+".image")
	}
	if o.Content == nil {
		o.Content = make([]byte, 256<<10)
		rand.Read(o.Content)
	}
	if o.PKI == nil {
		o.PKI = b.PKI
	}
	return o
}

// fill writes what goes into the bundle.
func (o Bundle) fill(dir string) error {
	hooks := ""
	if o.Hook != "" {
		hooks = "[hooks]\nfilename=hook.sh\nhooks=install-check\n\n"
		if err := os.WriteFile(filepath.Join(dir, "hook.sh"), []byte(o.Hook), 0o755); err != nil {
			return err
		}
	}
	manifest := fmt.Sprintf("[update]\ncompatible=%s\nversion=%s\n\n[bundle]\nformat=%s\n\n%s[image.rootfs]\nfilename=rootfs.img\n",
		o.Compatible, o.Version, o.Format, hooks)
	if err := os.WriteFile(filepath.Join(dir, "manifest.raucm"), []byte(manifest), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "rootfs.img"), o.Content, 0o644)
}
