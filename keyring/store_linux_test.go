// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"usbagent/internal/durable"
	"usbagent/signature"
	"usbagent/test/need"
)

const vendorLink = "-> vendor.pem"

// TestRotationStory is what happens to one board, stick by stick.
func TestRotationStory(t *testing.T) {
	b := newBoard(t)
	alice, bob := newAuthority(t, "Alice"), newAuthority(t, "Bob")
	both := append(append([]byte("# both\n"), alice.pem...), bob.pem...)
	steps := []struct {
		name                   string
		do                     func() (Change, error)
		now, previous, factory string
		changed                bool
		from                   string
		before, after          []*authority
	}{
		{"vendor hands over to Alice", func() (Change, error) { return b.install(b.vendor, alice.pem) },
			string(alice.pem), vendorLink, vendorLink, true, "fwupdate-keyring.pem", []*authority{b.vendor}, []*authority{alice}},
		{"the same stick again", func() (Change, error) { return b.install(alice, alice.pem) },
			string(alice.pem), vendorLink, vendorLink, false, "fwupdate-keyring.pem", []*authority{alice}, []*authority{alice}},
		{"Alice trusts Bob too", func() (Change, error) { return b.install(alice, both) },
			string(both), string(alice.pem), vendorLink, true, "fwupdate-keyring.pem", []*authority{alice}, []*authority{alice, bob}},
		{"the same certificates in another text", func() (Change, error) { return b.install(alice, append(append([]byte{}, bob.pem...), alice.pem...)) },
			string(both), string(alice.pem), vendorLink, false, "fwupdate-keyring.pem", []*authority{alice, bob}, []*authority{bob, alice}},
		{"Bob drops Alice", func() (Change, error) { return b.install(bob, bob.pem) },
			string(bob.pem), string(both), vendorLink, true, "fwupdate-keyring.pem", []*authority{alice, bob}, []*authority{bob}},
		{"restore", b.store.Restore,
			string(both), string(bob.pem), vendorLink, true, b.store.Previous(), []*authority{bob}, []*authority{alice, bob}},
		{"restore twice", b.store.Restore,
			string(bob.pem), string(both), vendorLink, true, b.store.Previous(), []*authority{alice, bob}, []*authority{bob}},
		{"the previous one is damaged", func() (Change, error) {
			os.WriteFile(b.store.Previous(), []byte("x"), 0o644)
			return b.store.Restore()
		}, vendorLink, string(bob.pem), vendorLink, true, b.store.Factory(), []*authority{bob}, []*authority{b.vendor}},
		{"nothing to repair", b.store.Repair,
			vendorLink, string(bob.pem), vendorLink, false, "", nil, nil},
	}
	prints := func(list []*authority) (prints []signature.Fingerprint) {
		for _, a := range list {
			prints = append(prints, a.print())
		}
		return prints
	}
	for _, s := range steps {
		got, err := s.do()
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		want := Change{s.changed, s.from, prints(s.before), prints(s.after)}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", s.name, got, want)
		}
		b.expect(s.now, s.previous, s.factory)
		if t.Failed() {
			t.Fatalf("after %q", s.name)
		}
	}
	if info, _ := os.Lstat(b.store.Previous()); info.Mode() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}
}

// TestNothingIsWrittenWhenEqual: not even a file is touched.
func TestNothingIsWrittenWhenEqual(t *testing.T) {
	b := newBoard(t)
	if c, err := b.install(b.vendor, b.vendor.pem); err != nil || c.Changed {
		t.Errorf("%+v, %v", c, err)
	}
	b.expect(vendorLink, "", "")
}

func TestCheckedIsNotVerified(t *testing.T) {
	b := newBoard(t)
	alice, mallory := newAuthority(t, "Alice"), newAuthority(t, "Mallory")
	if _, err := b.store.Install(b.vendor.sign(t, alice.pem), parse(mallory.pem)); err == nil {
		t.Error("another keyring than the verified one was taken")
	}
	b.expect(vendorLink, "", "")
}

func TestRepair(t *testing.T) {
	alice := newAuthority(t, "Alice")
	damage := map[string]func(b *board){
		"missing": func(b *board) { os.Remove(b.path("keyring.pem")) },
		"empty":   func(b *board) { os.Remove(b.path("keyring.pem")); os.WriteFile(b.path("keyring.pem"), nil, 0o644) },
		"zeros":   func(b *board) { os.WriteFile(b.path("keyring.pem"), make([]byte, 1000), 0o644) },
		"blank":   func(b *board) { os.WriteFile(b.path("keyring.pem"), []byte("\r\n\n"), 0o644) },
	}
	for name, harm := range damage {
		t.Run(name+", previous kept", func(t *testing.T) {
			b := newBoard(t)
			b.install(b.vendor, alice.pem)
			harm(b)
			c, err := b.store.Repair()
			if err != nil || !c.Changed || c.From != b.store.Previous() || !reflect.DeepEqual(c.After, []signature.Fingerprint{b.vendor.print()}) {
				t.Errorf("%+v, %v", c, err)
			}
			b.expect(vendorLink, vendorLink, vendorLink)
		})
		t.Run(name+", factory kept", func(t *testing.T) {
			b := newBoard(t)
			b.install(b.vendor, alice.pem)
			os.Remove(b.store.Previous())
			harm(b)
			if c, err := b.store.Repair(); err != nil || c.From != b.store.Factory() {
				t.Errorf("%+v, %v", c, err)
			}
			b.expect(vendorLink, "", vendorLink)
		})
		t.Run(name+", nothing kept", func(t *testing.T) {
			b := newBoard(t)
			os.Remove(b.path("keyring.pem")) // first, or the harm goes through the link
			harm(b)
			if c, err := b.store.Repair(); !errors.Is(err, ErrNothingKept) || c.Changed {
				t.Errorf("%+v, %v", c, err)
			}
			if _, err := b.store.Installed(); err == nil {
				t.Error("there is a keyring")
			}
		})
		t.Run(name+", restored by hand", func(t *testing.T) {
			b := newBoard(t)
			b.install(b.vendor, alice.pem)
			harm(b)
			if c, err := b.store.Restore(); err != nil || !c.Changed {
				t.Errorf("%+v, %v", c, err)
			}
			b.expect(vendorLink, vendorLink, vendorLink)
		})
	}
	for name, harm := range map[string]func(b *board){
		"dangling link":   func(b *board) { os.Remove(b.path("keyring.pem")); os.Symlink("none", b.path("keyring.pem")) },
		"damaged keyring": func(b *board) { os.WriteFile(b.path("keyring.pem"), []byte("-----BEGIN CERT"), 0o644) },
	} {
		t.Run(name+" is left alone", func(t *testing.T) {
			b := newBoard(t)
			b.install(b.vendor, alice.pem)
			harm(b)
			was := b.state("keyring.pem")
			if c, err := b.store.Repair(); err != nil || c.Changed || b.state("keyring.pem") != was {
				t.Errorf("%+v, %v, now %q", c, err, b.state("keyring.pem"))
			}
		})
	}
}

// TestLeftoversOfPowerCuts: each state that lies between two steps of a change.
func TestLeftoversOfPowerCuts(t *testing.T) {
	alice, bob := newAuthority(t, "Alice"), newAuthority(t, "Bob")
	leave := func(b *board, name string, text []byte) { os.WriteFile(b.path(name), text, 0o600) }
	tests := map[string]struct {
		leave         func(b *board) // keyring Alice, previous the vendor's link
		now, previous string
	}{
		"temporary files": {func(b *board) {
			leave(b, ".usbagent-keyring.pem.123", bob.pem[:50])
			leave(b, ".usbagent-keyring.pem.previous.new.4", nil)
		}, string(alice.pem), vendorLink},
		"before the new one":          {func(b *board) { leave(b, "keyring.pem.previous.new", alice.pem) }, string(alice.pem), vendorLink},
		"after the new one":           {func(b *board) { leave(b, "keyring.pem.previous.new", alice.pem); leave(b, "keyring.pem", bob.pem) }, string(bob.pem), string(alice.pem)},
		"and then the new one broke":  {func(b *board) { leave(b, "keyring.pem.previous.new", alice.pem); leave(b, "keyring.pem", nil) }, string(alice.pem), string(alice.pem)},
		"link before the new one":     {func(b *board) { os.Symlink("vendor.pem", b.path("keyring.pem.previous.new")) }, string(alice.pem), vendorLink},
		"temporary link, interrupted": {func(b *board) { os.Symlink("vendor.pem", b.path(".usbagent-keyring.pem.link")) }, string(alice.pem), vendorLink},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBoard(t)
			b.install(b.vendor, alice.pem)
			tt.leave(b)
			if _, err := b.store.Repair(); err != nil {
				t.Fatal(err)
			}
			b.expect(tt.now, tt.previous, vendorLink)
		})
	}
}

func TestRestoreWithNothingKept(t *testing.T) {
	b := newBoard(t)
	if _, err := b.store.Restore(); !errors.Is(err, ErrNothingKept) {
		t.Error(err)
	}
	os.Symlink("vendor.pem", b.store.Previous())
	if _, err := b.store.Restore(); !errors.Is(err, ErrNothingKept) {
		t.Errorf("the previous is the installed one: %v", err)
	}
	b.expect(vendorLink, vendorLink, "")
}

// TestPlaceIsRefused: a keyring that a local user can change is no trust, be
// it by the file, its directory, or a link on the way.
func TestPlaceIsRefused(t *testing.T) {
	need.Root(t)
	const nobody = 65534
	alice := newAuthority(t, "Alice")
	tests := map[string]struct {
		make func(b *board)
		want error
	}{
		"open directory":      {func(b *board) { os.Chmod(b.dir, 0o777) }, durable.ErrExposed},
		"sticky directory":    {func(b *board) { os.Chmod(b.dir, 0o777|os.ModeSticky) }, durable.ErrExposed},
		"foreign directory":   {func(b *board) { os.Chown(b.dir, nobody, 0) }, durable.ErrExposed},
		"open file":           {func(b *board) { os.Chmod(b.path("vendor.pem"), 0o666) }, durable.ErrExposed},
		"foreign file":        {func(b *board) { os.Chown(b.path("vendor.pem"), nobody, 0) }, durable.ErrExposed},
		"file of a group":     {func(b *board) { os.Chown(b.path("vendor.pem"), 0, nobody); os.Chmod(b.path("vendor.pem"), 0o664) }, durable.ErrExposed},
		"target in open dir":  {func(b *board) { b.moveTarget("open", 0o777) }, durable.ErrExposed},
		"target is elsewhere": {func(b *board) { b.moveTarget("safe", 0o755) }, nil},
		"target is missing":   {func(b *board) { os.Remove(b.path("vendor.pem")) }, fs.ErrNotExist},
		"target is a FIFO":    {func(b *board) { os.Remove(b.path("vendor.pem")); mkfifo(t, b.path("vendor.pem")) }, durable.ErrIrregular},
		"too large":           {func(b *board) { os.Truncate(b.path("vendor.pem"), signature.MaxKeyringSize+1) }, durable.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBoard(t)
			v := b.vendor.sign(t, alice.pem)
			tt.make(b)
			if _, err := b.store.Installed(); !errors.Is(err, tt.want) {
				t.Errorf("Installed: %v, want %v", err, tt.want)
			}
			if _, err := b.store.Install(v, parse(alice.pem)); !errors.Is(err, tt.want) {
				t.Errorf("Install: %v, want %v", err, tt.want)
			}
			if tt.want != nil && b.state("keyring.pem") == string(alice.pem) {
				t.Error("it was installed")
			}
		})
	}
}

// moveTarget moves the vendor's CA to a directory of mode perm.
func (b *board) moveTarget(dir string, perm os.FileMode) {
	os.Mkdir(b.path(dir), 0o755)
	os.Chmod(b.path(dir), perm)
	os.Rename(b.path("vendor.pem"), b.path(dir+"/vendor.pem"))
	os.Remove(b.path("keyring.pem"))
	os.Symlink(dir+"/vendor.pem", b.path("keyring.pem"))
}

// TestReadersNeverSeeHalf: readers during many replacements see whole keyrings.
func TestReadersNeverSeeHalf(t *testing.T) {
	b := newBoard(t)
	alice := newAuthority(t, "Alice")
	b.install(b.vendor, alice.pem)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				k, err := b.store.Installed()
				if err != nil || !k.Equal(parse(alice.pem)) && !k.Equal(parse(b.vendor.pem)) {
					t.Errorf("a reader saw %v, %v", k, err)
					return
				}
			}
		})
	}
	for range 20 {
		if _, err := b.store.Restore(); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}

// TestTwoProcessesRestore: changes exclude each other.
func TestTwoProcessesRestore(t *testing.T) {
	b := newBoard(t)
	alice := newAuthority(t, "Alice")
	b.install(b.vendor, alice.pem)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := Open(filepath.Join(b.dir, "keyring.pem")).Restore(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b.expect(string(alice.pem), vendorLink, vendorLink)
}
