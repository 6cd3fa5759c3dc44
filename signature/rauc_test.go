// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usbagent/test/need"
)

// raucBench is a directory with a squashfs to sign, and what rauc needs to say
// its verdict.
type raucBench struct {
	dir      string
	squashfs []byte
}

func newRAUCBench(t testing.TB) *raucBench {
	need.RAUC(t)
	b := &raucBench{dir: t.TempDir()}
	in := filepath.Join(b.dir, "in")
	os.Mkdir(in, 0o755)
	image := bytes.Repeat([]byte("usbagent\n"), 1000)
	os.WriteFile(filepath.Join(in, "rootfs.img"), image, 0o644)
	manifest := fmt.Sprintf("[update]\ncompatible=Test\nversion=1\n[image.rootfs]\nfilename=rootfs.img\nsha256=%x\nsize=%d\n", digestOf(crypto.SHA256, image), len(image))
	os.WriteFile(filepath.Join(in, "manifest.raucm"), []byte(manifest), 0o644)
	run(t, b.dir, "mksquashfs", "in", "content.squashfs", "-all-root", "-noappend", "-quiet", "-no-progress")
	var err error
	if b.squashfs, err = os.ReadFile(filepath.Join(b.dir, "content.squashfs")); err != nil {
		t.Fatal(err)
	}
	return b
}

func run(t testing.TB, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

// info is rauc's verdict about a bundle of the squashfs and cms.
func (b *raucBench) info(t testing.TB, keyring, cms []byte, o Options) (bool, string) {
	t.Helper()
	size := binary.BigEndian.AppendUint64(nil, uint64(len(cms)))
	conf := "[system]\ncompatible=Test\nbootloader=noop\n[keyring]\npath=keyring.pem\n"
	if o.Purpose != "" {
		conf += "check-purpose=" + string(o.Purpose) + "\n"
	}
	conf += fmt.Sprintf("allow-partial-chain=%v\ncheck-crl=%v\n", o.AllowPartialChain, o.CheckCRL)
	for name, content := range map[string][]byte{"keyring.pem": keyring, "bundle.raucb": slices.Concat(b.squashfs, cms, size), "system.conf": []byte(conf)} {
		if err := os.WriteFile(filepath.Join(b.dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("rauc", "--conf=system.conf", "info", "bundle.raucb")
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	if err == nil && !bytes.Contains(out, []byte("Verified")) {
		t.Fatalf("rauc says neither yes nor no: %s", out)
	}
	return err == nil, strings.TrimSpace(string(out))
}

// raucCase is one PKI and set of options for rauc and for us.
type raucCase struct {
	name    string
	keyring []byte
	cms     []byte
	o       Options
	want    Reason
	// stricter than rauc, for the reason that docs/signatures.md gives
	stricter bool
}

// TestSameVerdictAsRAUC compares check_purpose, allow_partial_chain and
// check_crl with the real rauc on the same bundles.
func TestSameVerdictAsRAUC(t *testing.T) {
	b := newRAUCBench(t)
	n := 0
	check := func(c raucCase) {
		t.Helper()
		n++
		k, err := ParseKeyring(c.keyring)
		var got *Bundle
		if err == nil {
			got, err = VerifyBundle(k, c.cms, c.o)
		}
		if err == nil && !bytes.Equal(got.Sum, digestOf(got.Hash, b.squashfs)) {
			t.Errorf("%s: the digest is not the content's", c.name)
		}
		ref, said := b.info(t, c.keyring, c.cms, c.o)
		switch {
		case ReasonOf(err) != c.want:
			t.Errorf("%s: got %q, want %q: %v (rauc: %v)", c.name, ReasonOf(err), c.want, err, said)
		case err == nil && !ref:
			t.Errorf("%s: accepted, rauc rejects: %s", c.name, said)
		case err != nil && ref != c.stricter:
			t.Errorf("%s: %v, rauc: %v, stricter on purpose: %v: %s", c.name, err, ref, c.stricter, said)
		}
	}
	for _, c := range raucPurposeCases(b) {
		check(c)
	}
	for _, c := range raucPartialCases(b) {
		check(c)
	}
	for _, c := range raucCRLCases(b) {
		check(c)
	}
	t.Logf("%d cases", n)
}

// raucPurposeCases: each purpose against each use, at each place.
func raucPurposeCases(b *raucBench) []raucCase {
	var list []raucCase
	isCA := [][]byte{basic(true, -1)}
	add := func(name string, p Purpose, want Reason, root, inter, leaf [][]byte) {
		k, certs := threeChain(root, inter, leaf)
		list = append(list, raucCase{name: string(p) + " " + name, keyring: k, o: Options{Purpose: p}, want: want,
			cms: message(b.squashfs, certs[0], "p256-4", certs[1])})
	}
	allowed := func(p Purpose, oids []string, signer bool) Reason {
		switch {
		case p == AnyUse,
			p == SMIMESign && (oids == nil || slices.Contains(oids, ekuEmail)),
			p == CodeSign && (oids == nil && !signer || slices.Contains(oids, ekuCodeSign)):
			return ""
		}
		return PurposeMismatch
	}
	both := extUsage(false, ekuEmail, ekuCodeSign)
	for _, p := range []Purpose{SMIMESign, CodeSign, AnyUse} {
		for _, e := range ekuSets {
			ext := [][]byte{}
			if e.oids != nil {
				ext = append(ext, extUsage(false, e.oids...))
			}
			add("EKU "+e.name+" on the signer", p, allowed(p, e.oids, true), isCA, isCA, ext)
			add("EKU "+e.name+" on the intermediate", p, allowed(p, e.oids, false), isCA, append(slices.Clone(isCA), ext...), [][]byte{both})
			add("EKU "+e.name+" on the root", p, allowed(p, e.oids, false), append(slices.Clone(isCA), ext...), isCA, [][]byte{both})
		}
		for i := range 8 {
			bit := byte(0x80 >> i)
			want := PurposeMismatch
			if p == AnyUse || bit == usageSignature || p == SMIMESign && bit == usageRepudiation {
				want = ""
			}
			add(fmt.Sprintf("key usage bit %d on the signer", i), p, want, isCA, isCA, [][]byte{both, keyUsage(bit)})
		}
		add("intermediate without basic constraints", p, BadChain, isCA, nil, [][]byte{both})
		add("root without basic constraints", p, BadChain, nil, isCA, [][]byte{both})
	}
	return list
}

// raucPartialCases: where a chain may end.
func raucPartialCases(b *raucBench) []raucCase {
	var list []raucCase
	inter := leafDef("Intermediate", "p256-3", ca).extOnly(basic(true, -1), keyUsage(usageCertSign), ski("p256-3"), aki("p256-1"))
	low := leafDef("Low", "p256-4", inter)
	cross := certDef{subject: ca.subject, key: ca.key, issuer: dn("CN=Elsewhere"), by: "p256-5", ext: [][]byte{basic(true, -1), ski(ca.key)}}
	noCA := certDef{subject: ca.subject, key: ca.key, issuer: dn("CN=Elsewhere"), by: "p256-5", ext: [][]byte{basic(false, -1), ski(ca.key)}}
	spoiltLow := low
	spoiltLow.spoil = true
	i, l, spoilt := inter.der(), low.der(), spoiltLow.der()
	add := func(name string, keyring []byte, strict, partial Reason, certs ...[]byte) {
		for _, allow := range []bool{false, true} {
			want := strict
			if allow {
				want = partial
			}
			list = append(list, raucCase{name: fmt.Sprintf("partial %v: %s", allow, name), keyring: keyring, o: Options{AllowPartialChain: allow}, want: want,
				cms: message(b.squashfs, certs[0], "p256-4", certs[1:]...)})
		}
	}
	add("root in the keyring", ring, "", "", l, i)
	add("intermediate in the keyring", pemOf(i), UntrustedIssuer, "", l)
	add("intermediate in the keyring and the message", pemOf(i), UntrustedIssuer, "", l, i)
	add("intermediate in the keyring, root in the message", pemOf(i), UntrustedIssuer, "", l, i, caDER)
	add("signer in the keyring", pemOf(l), UntrustedIssuer, "", l)
	add("signer in the keyring, intermediate in the message", pemOf(l), UntrustedIssuer, "", l, i)
	add("cross-signed root in the keyring", pemOf(cross.der()), UntrustedIssuer, "", l, i)
	add("no CA in the keyring", pemOf(noCA.der()), UntrustedIssuer, BadChain, l, i)
	add("something else in the keyring", pemOf(leafDER), UntrustedIssuer, UntrustedIssuer, l, i)
	add("intermediate in the keyring, signer's certificate damaged", pemOf(i), UntrustedIssuer, BadSignature, spoilt)
	add("signer in the keyring, its certificate damaged", pemOf(spoilt), UntrustedIssuer, "", spoilt)
	add("intermediate before the root in the keyring", pemOf(i, caDER), "", "", l)
	tlsInter := inter.with(extUsage(false, ekuServerAuth))
	add("TLS intermediate in the keyring", pemOf(tlsInter.der()), UntrustedIssuer, PurposeMismatch, leafDef("Low", "p256-4", tlsInter).der())
	return list
}

// raucCRLCases: lists in the keyring and in the message.
func raucCRLCases(b *raucBench) []raucCase {
	var list []raucCase
	inter := leafDef("Intermediate", "p256-3", ca).extOnly(basic(true, -1), keyUsage(usageCertSign|usageCRLSign), ski("p256-3"), aki("p256-1"))
	inter.serial = integer(501)
	low := leafDef("Low", "p256-4", inter)
	low.serial = integer(502)
	i, l := inter.der(), low.der()
	rootCRL := crlDef{issuer: ca.subject, by: ca.key, ext: [][]byte{aki(ca.key)}}
	interCRL := crlDef{issuer: inter.subject, by: inter.key, ext: [][]byte{aki(inter.key)}}
	revoke := func(c crlDef, serial int64) crlDef { c.revoked = [][]byte{integer(serial)}; return c }
	ofCRLs := func(crls ...crlDef) []byte {
		out := slices.Clone(ring)
		for _, c := range crls {
			out = append(out, pemBlockOf("X509 CRL", c.der())...)
		}
		return out
	}
	add := func(name string, want Reason, stricter bool, keyring []byte, inMessage ...crlDef) {
		d := messageDef{certs: [][]byte{l, i}, signers: [][]byte{signerDef{cert: l, key: "p256-4", content: b.squashfs}.der()}}
		for _, c := range inMessage {
			d.crls = append(d.crls, c.der())
		}
		list = append(list,
			raucCase{name: "crl true: " + name, keyring: keyring, o: Options{CheckCRL: true}, want: want, stricter: stricter, cms: d.der()},
			raucCase{name: "crl false: " + name, keyring: keyring, cms: d.der()})
	}
	add("none", NoCRL, false, ring)
	add("the root's only", NoCRL, false, ofCRLs(rootCRL))
	add("both", "", false, ofCRLs(rootCRL, interCRL))
	add("signer revoked", Revoked, false, ofCRLs(rootCRL, revoke(interCRL, 502)))
	add("intermediate revoked", Revoked, false, ofCRLs(revoke(rootCRL, 501), interCRL))
	add("others revoked", "", false, ofCRLs(revoke(rootCRL, 900), revoke(interCRL, 901)))
	add("root revokes the signer's number", "", false, ofCRLs(revoke(rootCRL, 502), interCRL))
	spoilt := interCRL
	spoilt.spoil = true
	add("damaged", NoCRL, false, ofCRLs(rootCRL, spoilt))
	otherKey := interCRL
	otherKey.by, otherKey.ext = "p256-5", nil
	add("signed by a stranger", NoCRL, false, ofCRLs(rootCRL, otherKey))
	add("in the message", NoCRL, false, ring, rootCRL, interCRL)
	add("in the message, signer revoked", Revoked, false, ring, rootCRL, revoke(interCRL, 502))
	add("good one in the message, revoking one in the keyring", Revoked, false, ofCRLs(rootCRL, revoke(interCRL, 502)), interCRL)
	noAKI := interCRL
	noAKI.ext = nil
	add("without key identifier", "", false, ofCRLs(rootCRL, noAKI))
	critical := interCRL
	critical.ext = append(slices.Clone(critical.ext), extension("\x2a\x03\x04", true, null()))
	add("with an unknown critical extension", NoCRL, false, ofCRLs(rootCRL, critical))
	numbered := interCRL
	numbered.ext = append(slices.Clone(numbered.ext), extension("\x55\x1d\x14", false, integer(7)))
	add("with a number", "", false, ofCRLs(rootCRL, numbered))
	wrongNumber := interCRL
	wrongNumber.ext = append(slices.Clone(wrongNumber.ext), extension("\x55\x1d\x14", false, null()))
	add("with a broken number", NoCRL, true, ofCRLs(rootCRL, wrongNumber))
	for name, v := range map[string][]byte{"1": {10, 1, 1}, "8": {10, 1, 8}, "of another type": {2, 1, 1}} {
		reason := interCRL
		reason.entries = [][]byte{seq(integer(900), tlv(0x17, []byte("250101000000Z")), seq(extension("\x55\x1d\x15", false, v)))}
		want := NoCRL
		if name == "1" {
			want = ""
		}
		add("another revoked for reason "+name, want, name != "1", ofCRLs(rootCRL, reason))
	}
	delta := revoke(interCRL, 502)
	delta.ext = append(slices.Clone(delta.ext), extension("\x55\x1d\x1b", true, integer(7)))
	add("delta only", NoCRL, false, ofCRLs(rootCRL, delta))
	scoped := interCRL
	scoped.ext = append(slices.Clone(scoped.ext), extension("\x55\x1d\x1c", true, seq(ctxPrim(1, []byte{0xff}))))
	add("for signers' certificates only", NoCRL, true, ofCRLs(rootCRL, scoped))
	return list
}

// TestBundleMadeByRAUC verifies what "rauc bundle" writes, in each format.
func TestBundleMadeByRAUC(t *testing.T) {
	b := newRAUCBench(t)
	rsaCA := caDef("Bundle CA", "rsa2048-1")
	rsaLeaf := leafDef("Bundle signer", "rsa2048-2", rsaCA).der()
	os.WriteFile(filepath.Join(b.dir, "ca.pem"), pemOf(rsaCA.der()), 0o644)
	os.WriteFile(filepath.Join(b.dir, "leaf.pem"), pemOf(rsaLeaf), 0o644)
	os.WriteFile(filepath.Join(b.dir, "in", "rootfs.img"), pseudoRandom(64<<10), 0o644)
	k, err := ParseKeyring(pemOf(rsaCA.der()))
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := ParseKeyring(ring)
	for _, format := range []string{"plain", "verity", "crypt"} {
		manifest := "[update]\ncompatible=Test\nversion=1\n[bundle]\nformat=" + format + "\n[image.rootfs]\nfilename=rootfs.img\n"
		os.WriteFile(filepath.Join(b.dir, "in", "manifest.raucm"), []byte(manifest), 0o644)
		os.Remove(filepath.Join(b.dir, format+".raucb"))
		run(t, b.dir, "rauc", "--cert", "leaf.pem", "--key", key("rsa2048-2").file, "--keyring", "ca.pem", "bundle", "in", format+".raucb")
		if format == "crypt" {
			run(t, b.dir, "rauc", "--keyring", "ca.pem", "encrypt", "--to=leaf.pem", "crypt.raucb", "encrypted.raucb")
		}
		content, cms := splitBundle(t, filepath.Join(b.dir, format+".raucb"))
		got, err := VerifyBundle(k, cms, Options{})
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if got.Signer.Subject != "CN=Bundle signer" {
			t.Errorf("%s: signer %q", format, got.Signer.Subject)
		}
		if format == "plain" {
			if got.Manifest != nil || got.Hash != crypto.SHA256 || !bytes.Equal(got.Sum, digestOf(crypto.SHA256, content)) {
				t.Errorf("plain: %+v", got)
			}
		} else if !bytes.Contains(got.Manifest, []byte("compatible=Test")) || got.Sum != nil {
			t.Errorf("%s: manifest %q", format, got.Manifest)
		}
		if _, err := VerifyBundle(stranger, cms, Options{}); ReasonOf(err) != UntrustedIssuer {
			t.Errorf("%s with another keyring: %v", format, err)
		}
		if _, err := VerifyBundle(k, cms, Options{Purpose: CodeSign}); ReasonOf(err) != PurposeMismatch {
			t.Errorf("%s for codesign: %v", format, err)
		}
		flipped := bytes.Replace(cms, []byte("compatible=Test"), []byte("compatible=Best"), 1)
		if format != "plain" {
			if _, err := VerifyBundle(k, flipped, Options{}); ReasonOf(err) != WrongContent {
				t.Errorf("%s with a changed manifest: %v", format, err)
			}
		}
	}
	_, cms := splitBundle(t, filepath.Join(b.dir, "encrypted.raucb"))
	if _, err := VerifyBundle(k, cms, Options{}); !errors.Is(err, ErrEncrypted) {
		t.Errorf("crypt, encrypted: %v", err)
	}
}

// splitBundle separates the CMS at the end of a bundle.
func splitBundle(t testing.TB, path string) (content, cms []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.BigEndian.Uint64(b[len(b)-8:])
	end := len(b) - 8 - int(n)
	return b[:end], b[end : len(b)-8]
}

func pseudoRandom(n int) []byte {
	out := make([]byte, 0, n+32)
	for sum := digestOf(crypto.SHA256, []byte("usbagent")); len(out) < n; sum = digestOf(crypto.SHA256, sum) {
		out = append(out, sum...)
	}
	return out[:n]
}

// TestPins: the signers that Options.Signers allows.
func TestPins(t *testing.T) {
	inter := leafDef("Intermediate", "p256-3", ca).extOnly(basic(true, -1), ski("p256-3"), aki("p256-1")).der()
	low := certDef{subject: dn("CN=Low"), key: "p256-4", issuer: at(inter, 0, 5), by: "p256-3"}.der()
	p7s := message(script, low, "p256-4", inter, leafDER)
	k, _ := ParseKeyring(pemOf(caDER, leafDER))
	print := func(der []byte) Fingerprint {
		c, err := parseCert(der)
		if err != nil {
			t.Fatal(err)
		}
		return c.fingerprint
	}
	for _, c := range []struct {
		name string
		pins []Fingerprint
		want Reason
	}{
		{"none", nil, ""}, {"the signer", []Fingerprint{print(low)}, ""}, {"the intermediate", []Fingerprint{print(inter)}, ""},
		{"the root", []Fingerprint{print(caDER)}, ""}, {"another and the root", []Fingerprint{{}, print(caDER)}, ""},
		{"another of the message", []Fingerprint{print(leafDER)}, Pinned}, {"none that exists", []Fingerprint{{}}, Pinned},
	} {
		_, err := Verify(k, NewContent("x", script), p7s, Options{Signers: c.pins})
		if ReasonOf(err) != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	block, _ := pem.Decode(pemOf(low))
	out := strings.TrimSpace(string(mustRun(pemOf(block.Bytes), "openssl", "x509", "-noout", "-fingerprint", "-sha256")))
	_, hex, _ := strings.Cut(out, "=")
	f, err := ParseFingerprint(hex)
	if err != nil || f != print(low) {
		t.Errorf("fingerprint of openssl %q: %v, %v", hex, f, err)
	}
}
