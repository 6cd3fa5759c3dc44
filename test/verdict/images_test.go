// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package verdict

import (
	"os"
	"path/filepath"
	"testing"

	"usbagent/test/pki"
	"usbagent/test/raucbench"
)

// bundle makes an image on the stick.
func bundle(name string, whom func(*world) *pki.PKI) func(*world, string) {
	return func(w *world, dir string) {
		_, err := w.bench.Bundle(raucbench.Bundle{Path: filepath.Join(dir, name), PKI: whom(w)})
		check(w.t, err)
	}
}

// foreign makes an image for another kind of board. It is a verity bundle: what
// a plain one is for can be read by the board only.
func foreign(name string) func(*world, string) {
	return func(w *world, dir string) {
		_, err := w.bench.Bundle(raucbench.Bundle{Path: filepath.Join(dir, name), Compatible: "another", Format: "verity", PKI: w.vendor})
		check(w.t, err)
	}
}

// spoil changes one byte in the middle of a file.
func spoil(name string) func(*world, string) {
	return func(w *world, dir string) {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		check(w.t, err)
		defer f.Close()
		var b [1]byte
		_, err = f.ReadAt(b[:], 100_000)
		check(w.t, err)
		_, err = f.WriteAt([]byte{^b[0]}, 100_000)
		check(w.t, err)
	}
}

var images = []kind{
	{"good", bundle("a.image", vendor)},
	{"good with a new keyring", then(goodKeyring, bundle("a.image", customer))},
	{"signed by the old owner", then(goodKeyring, bundle("a.image", vendor))},
	{"signed by a stranger", bundle("a.image", stranger)},
	{"for another board", foreign("a.image")},
	{"for another board, then good", then(foreign("a.image"), bundle("b.image", vendor))},
	{"good, then another", then(bundle("a.image", vendor), bundle("b.image", vendor))},
	{"damaged", then(bundle("a.image", vendor), spoil("a.image"))},
	{"damaged, then good", then(then(bundle("a.image", vendor), spoil("a.image")), bundle("b.image", vendor))},
	{"no bundle", put("a.image", "hello")},
	{"empty", put("a.image", "")},
	{"folder", folder("a.image")},
	{"FIFO", fifo("a.image")},
	{"link", then(bundle("a.image", vendor), moved("a.image"))},
	{"hidden", put("._a.image", "x")},
}

// TestImages has the real RAUC install what is good.
func TestImages(t *testing.T) {
	w := newWorld(t)
	for _, k := range images {
		t.Run(k.name, func(t *testing.T) {
			w.t = t
			b := w.board()
			w.bench = raucbench.For(t, raucbench.Options{Keyring: b.keyring})
			defer func() { w.bench = nil }()
			b = w.board() // with RAUC as its installer
			check(t, os.Remove(w.bench.Options.Keyring))
			check(t, os.Symlink(b.keyring, w.bench.Options.Keyring))
			stick := b.dir + "/stick"
			check(t, os.Mkdir(stick, 0o755))
			k.make(w, stick)
			w.compare(t, b, stick)
		})
	}
}
