// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"usbagent/test/disk"
)

func mkfifo(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDiskRefuses: a clear error, and the old keyring in force.
func TestDiskRefuses(t *testing.T) {
	alice := newAuthority(t, "Alice")
	tests := map[string]struct {
		make func(t *testing.T, b *board)
		want error
	}{
		"read-only":           {func(t *testing.T, b *board) { disk.ReadOnly(t, filepath.Dir(b.dir)) }, syscall.EROFS},
		"disk full":           {func(t *testing.T, b *board) { t.Cleanup(disk.Fill(t, b.dir)) }, syscall.ENOSPC},
		"immutable link":      {func(t *testing.T, b *board) { immutableFile(t, b) }, syscall.EPERM},
		"immutable directory": {func(t *testing.T, b *board) { disk.Immutable(t, b.dir) }, syscall.EPERM},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(disk.Ext4(t, 2<<20), "rauc")
			os.Mkdir(dir, 0o755)
			b := boardAt(t, dir)
			v := b.vendor.sign(t, alice.pem)
			tt.make(t, b)
			was := b.state("keyring.pem")
			_, err := b.store.Install(v, parse(alice.pem))
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "install keyring: ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("Install: %v, want %v", err, tt.want)
			}
			if k, err := b.store.Installed(); err != nil || !k.Equal(parse(b.vendor.pem)) || b.state("keyring.pem") != was {
				t.Errorf("the old keyring is not in force: %q, %v", b.state("keyring.pem"), err)
			}
			if b.state("keyring.pem.previous") != "" || b.state("keyring.pem.previous.new") != "" {
				t.Error("something was left behind")
			}
		})
	}
}

// immutableFile makes the keyring an immutable file; links have no attributes.
func immutableFile(t *testing.T, b *board) {
	os.Remove(b.path("keyring.pem"))
	os.WriteFile(b.path("keyring.pem"), b.vendor.pem, 0o644)
	disk.Immutable(t, b.path("keyring.pem"))
}

// TestDiskFullLater: the next stick works when there is room again, and a file
// system of a few blocks suffices.
func TestDiskFullLater(t *testing.T) {
	b := boardAt(t, disk.Ext4(t, 2<<20))
	alice := newAuthority(t, "Alice")
	free := disk.Fill(t, b.dir)
	if _, err := b.install(b.vendor, alice.pem); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Install on a full disk: %v", err)
	}
	free()
	if c, err := b.install(b.vendor, alice.pem); err != nil || !c.Changed {
		t.Errorf("%+v, %v", c, err)
	}
	b.expect(string(alice.pem), vendorLink, vendorLink)
}
