// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/test/need"
)

// hashVariable asks for the measurement of hashing (make bench-hash).
const hashVariable = "USBAGENT_PERFORMANCE_HASH"

// largeScript is the largest script there may be.
const largeScript = 64 << 20

// TestPerformanceOfHashing compares the verification of the largest script with
// openssl's digests and with the kernel's (AF_ALG), in instructions: the
// guest's clock counts them. Silicon's NEON unit is not measured: QEMU counts an
// instruction of it as one.
func TestPerformanceOfHashing(t *testing.T) {
	if os.Getenv(hashVariable) == "" {
		need.Measurement(t, "make bench-hash")
	}
	s := newStation(t)
	b, err := Resume(s.fw, s.snap, func(b *Board) { b.args, b.Log = instructions, func(string, ...any) {} })
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Board: b, parts: parts{fw: s.fw}, t: t}
	defer b.Close()
	content := append([]byte("#!/bin/sh\n"), make([]byte, largeScript-10)...)
	p7s := signed(t, s.fw.PKI.Vendor, "autorun.sh", content)[1].Data
	r.put("/run/large.p7s", string(p7s))
	r.sh("printf '#!/bin/sh\\n' >/run/large; head -c 67108854 /dev/zero >>/run/large; systemctl stop usbagent")
	const runs = 3
	for _, c := range append([]struct{ name, line string }{
		{"openssl dgst -sha256", "openssl dgst -sha256 /run/large"},
		{"openssl dgst -md5", "openssl dgst -md5 /run/large"},
		{"usbagent verify", "usbagent verify --keyring /etc/rauc/keyring.pem /run/large"},
	}, s.kernelDigests(r)...) {
		var list []string
		for range runs {
			out := r.sh("read a _ </proc/uptime; " + c.line + " >/dev/null; read b _ </proc/uptime; echo $a $b")
			var from, to float64
			if _, err := fmt.Sscan(out, &from, &to); err != nil {
				t.Fatalf("%s: %q: %v", c.name, out, err)
			}
			list = append(list, fmt.Sprintf("%.2f s = %.0f million instructions", to-from, (to-from)*500))
		}
		t.Logf("%s: %s", c.name, strings.Join(list, ", "))
	}
}

// kernelDigests brings the kernel's modules in and a program that asks for
// digests by AF_ALG.
func (s *station) kernelDigests(r *rig) (list []struct{ name, line string }) {
	s.t.Helper()
	program := filepath.Join(s.t.TempDir(), "afalg")
	if err := goBuild(program, "arm", "usbagent/test/board/afalg"); err != nil {
		s.t.Fatal(err)
	}
	tools := []File{{Name: "afalg", Path: program}}
	for _, name := range []string{"af_alg", "algif_hash", "sha256-arm"} {
		found, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(s.fw.Kernel)), "*", "root/lib/modules/*/kernel"))
		for _, dir := range found {
			for _, sub := range []string{"crypto", "arch/arm/crypto"} {
				if path := filepath.Join(dir, sub, name+".ko"); exists(path) {
					tools = append(tools, File{Name: name + ".ko", Path: path})
				}
			}
		}
	}
	path := filepath.Join(r.dir, "tools.img")
	if err := WriteStick(path, "disk", Part{FileSystem: FileSystem{Type: "ext2", Files: tools}}); err != nil {
		s.t.Fatal(err)
	}
	r.plug(NewStick(path))
	r.sh(`i=0; while [ ! -b /dev/sda ]; do i=$((i+1)); [ $i -lt 300 ]; sleep 0.1; done
mkdir -p /run/tools; mount -o ro /dev/sda /run/tools; install -m 755 /run/tools/afalg /usr/local/bin
for m in af_alg algif_hash sha256-arm; do insmod /run/tools/$m.ko || :; done; grep -A3 sha256 /proc/crypto`)
	return []struct{ name, line string }{
		{"AF_ALG sha256, file spliced", "afalg sha256 splice /run/large"},
		{"AF_ALG sha256, bytes sent", "afalg sha256 send /run/large"},
		{"AF_ALG md5, bytes sent", "afalg md5 send /run/large"},
	}
}

func exists(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 4)
	f.Read(head)
	return bytes.Equal(head, []byte("\x7fELF"))
}
