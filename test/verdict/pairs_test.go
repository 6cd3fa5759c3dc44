// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package verdict

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"usbagent/test/pki"
)

// kind makes one half of a stick: a keyring or a script, good or bad.
type kind struct {
	name string
	make func(w *world, dir string)
}

// signed is a file with a signature by whom.
func signed(file string, whom func(*world) *pki.PKI, content func(*world) []byte) func(*world, string) {
	return func(w *world, dir string) {
		path := filepath.Join(dir, file)
		check(w.t, os.WriteFile(path, content(w), 0o644))
		check(w.t, whom(w).Sign(path))
	}
}

// then does something more to the file.
func then(first func(*world, string), more func(*world, string)) func(*world, string) {
	return func(w *world, dir string) { first(w, dir); more(w, dir) }
}

func vendor(w *world) *pki.PKI   { return w.vendor }
func customer(w *world) *pki.PKI { return w.customer }
func stranger(w *world) *pki.PKI { return w.stranger }

func text(s string) func(*world) []byte { return func(*world) []byte { return []byte(s) } }

func content(path func(*world) string) func(*world) []byte {
	return func(w *world) []byte {
		b, err := os.ReadFile(path(w))
		check(w.t, err)
		return b
	}
}

func remove(name string) func(*world, string) {
	return func(w *world, dir string) { check(w.t, os.Remove(filepath.Join(dir, name))) }
}

func put(name, data string) func(*world, string) {
	return func(w *world, dir string) { check(w.t, os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644)) }
}

func grow(name, more string) func(*world, string) {
	return func(w *world, dir string) {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY, 0)
		check(w.t, err)
		defer f.Close()
		_, err = f.WriteString(more)
		check(w.t, err)
	}
}

// moved replaces a file by a link to it under another name.
func moved(name string) func(*world, string) {
	return func(w *world, dir string) {
		path := filepath.Join(dir, name)
		check(w.t, os.Rename(path, path+".real"))
		check(w.t, os.Symlink(name+".real", path))
	}
}

func folder(name string) func(*world, string) {
	return func(w *world, dir string) { check(w.t, os.Mkdir(filepath.Join(dir, name), 0o755)) }
}

func fifo(name string) func(*world, string) {
	return func(w *world, dir string) { check(w.t, syscall.Mkfifo(filepath.Join(dir, name), 0o644)) }
}

// embedded is a signature that carries its content.
func embedded(name string) func(*world, string) {
	return func(w *world, dir string) {
		path := filepath.Join(dir, name)
		w.run("openssl", "smime", "-sign", "-binary", "-nodetach", "-outform", "DER", "-md", "sha256",
			"-in", path, "-signer", w.customer.Cert, "-inkey", w.customer.Key, "-out", path+".p7s")
	}
}

const (
	keyringName = "fwupdate-keyring.pem"
	scriptName  = "autorun.sh"
	goodScript  = "#!/bin/sh\nexit 0\n"
	ranBefore   = "#!/bin/sh\n# on the list\n"
)

func customerCA(w *world) string   { return w.customer.Keyring }
func customerCert(w *world) string { return w.customer.Cert }
func vendorCA(w *world) string     { return w.vendor.Keyring }

var goodKeyring = signed(keyringName, vendor, content(customerCA))

var keyrings = []kind{
	{"none", func(*world, string) {}},
	{"good", goodKeyring},
	{"signed by the customer", signed(keyringName, customer, content(customerCA))},
	{"signed by a stranger", signed(keyringName, stranger, content(customerCA))},
	{"tampered", then(goodKeyring, grow(keyringName, "\n"))},
	{"without signature", then(goodKeyring, remove(keyringName+".p7s"))},
	{"signature alone", then(goodKeyring, remove(keyringName))},
	{"already installed", signed(keyringName, vendor, content(vendorCA))},
	{"no anchor", signed(keyringName, vendor, content(customerCert))},
	{"a script", signed(keyringName, vendor, func(w *world) []byte {
		return append([]byte("#!/bin/sh\ncat <<E\n"), content(customerCA)(w)...)
	})},
	{"no certificate", signed(keyringName, vendor, text("hello\n"))},
	{"link", then(goodKeyring, moved(keyringName))},
	{"folder", then(folder(keyringName), put(keyringName+".p7s", "x"))},
	{"empty signature", then(goodKeyring, put(keyringName+".p7s", ""))},
	{"too large", then(goodKeyring, put(keyringName, strings.Repeat("#\n", 1<<19)+"x"))},
}

var script = signed(scriptName, customer, text(goodScript))

var scripts = []kind{
	{"none", func(*world, string) {}},
	{"by the customer", script},
	{"by the vendor", signed(scriptName, vendor, text(goodScript))},
	{"by a stranger", signed(scriptName, stranger, text(goodScript))},
	{"tampered", then(script, grow(scriptName, "#\n"))},
	{"without signature", then(script, remove(scriptName+".p7s"))},
	{"signature alone", then(script, remove(scriptName))},
	{"ran before", signed(scriptName, vendor, text(ranBefore))},
	{"ran before, not signed", then(signed(scriptName, vendor, text(ranBefore)), put(scriptName+".p7s", "x"))},
	{"program", signed(scriptName, vendor, text("\x7fELF\x01\x01\x01\x00 and so on"))},
	{"NUL", signed(scriptName, vendor, text("#!/bin/sh \x00\nexit 0\n"))},
	{"a keyring", signed(scriptName, vendor, content(customerCA))},
	{"content inside the signature", then(script, embedded(scriptName))},
	{"FIFO", then(fifo(scriptName), put(scriptName+".p7s", "x"))},
	{"link", then(script, moved(scriptName))},
	{"empty", signed(scriptName, vendor, text(""))},
	{"too large", signed(scriptName, vendor, text("#"+strings.Repeat(" ", 1<<20)))},
}

// TestKeyringsAndScripts has every keyring with every script.
func TestKeyringsAndScripts(t *testing.T) {
	w := newWorld(t)
	sum := md5.Sum([]byte(ranBefore))
	done := 0
	for _, k := range keyrings {
		for _, s := range scripts {
			t.Run("keyring "+k.name+", script "+s.name, func(t *testing.T) {
				w.t = t
				b := w.board()
				check(t, os.WriteFile(b.list, []byte(hex.EncodeToString(sum[:])+"\n"), 0o644))
				stick := b.dir + "/stick"
				check(t, os.Mkdir(stick, 0o755))
				k.make(w, stick)
				s.make(w, stick)
				w.compare(t, b, stick)
				done++
			})
		}
	}
	if done != len(keyrings)*len(scripts) {
		t.Errorf("%d of %d sticks were compared", done, len(keyrings)*len(scripts))
	}
}

// TestTheSetHasBothAnswers guards the test above against a set in which
// nothing is ever done.
func TestTheSetHasBothAnswers(t *testing.T) {
	w := newWorld(t)
	b := w.board()
	stick := b.dir + "/stick"
	check(t, os.Mkdir(stick, 0o755))
	goodKeyring(w, stick)
	script(w, stick)
	if list, code := w.field(b, stick); code != 0 || len(list) != 2 || list[0].result != "done" || list[1].result != "done" {
		t.Errorf("%+v, code %d", list, code)
	}
	installed, err := os.ReadFile(b.keyring)
	if err != nil || !bytes.Equal(installed, content(customerCA)(w)) {
		t.Errorf("the keyring was not installed: %v", err)
	}
}
