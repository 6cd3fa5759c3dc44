// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	// maxTime is how long any input up to the size limits may take.
	maxTime = time.Second
	// maxMemory is what it may allocate in all beyond the input, in bytes.
	maxMemory = 64 << 20
)

// bounded runs f and fails when it takes too long or allocates too much. The
// machine may be busy: the best of three counts for the time.
func bounded(t *testing.T, name string, f func()) {
	t.Helper()
	best, most := time.Hour, uint64(0)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		f()
		best = min(best, time.Since(start))
		runtime.ReadMemStats(&after)
		most = max(most, after.TotalAlloc-before.TotalAlloc)
		if best < maxTime/4 {
			break
		}
	}
	if best > maxTime {
		t.Errorf("%s takes %v", name, best)
	}
	if most > maxMemory {
		t.Errorf("%s allocates %d MiB", name, most>>20)
	}
	t.Logf("%-45s %10v %8d KiB", name, best.Round(time.Microsecond), most>>10)
}

// fill repeats e up to n bytes.
func fill(e []byte, n int) []byte { return bytes.Repeat(e, n/len(e)) }

// nastyMessages are signatures made to cost as much as they can.
func nastyMessages() map[string][]byte {
	const room = MaxSize - 2000
	good := message(script, leafDER, "p256-2")
	unsigned := func(attrs ...[]byte) []byte {
		return messageDef{certs: [][]byte{leafDER}, signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script, unsigned: attrs}.der()}}.der()
	}
	big := certDef{subject: seq(bytes.Split(fill(append(rdn(oidCommonName, utf8String("x")), 0xfe), room/2), []byte{0xfe})...), key: "p256-4"}
	wide := certDef{subject: seq(rawSet(fill(seq(oidElement(oidCommonName), utf8String("x")), room/2))), key: "p256-4"}
	long := certDef{subject: dn("CN=" + strings.Repeat("ab ", room/10)), key: "p256-4"}
	spaces := certDef{subject: dn("CN=" + strings.Repeat(" ", room/4)), key: "p256-4"}
	manyExt := certDef{subject: dn("CN=x"), key: "p256-4", ext: [][]byte{fill(extension("\x2a\x03\x04", false, null()), room)}}
	manyNames := certDef{subject: dn("CN=x"), key: "p256-4", ext: [][]byte{altNames(fill(dns("a.example"), room))}}
	manyUses := certDef{subject: dn("CN=x"), key: "p256-4", ext: [][]byte{extUsage(false, strings.Split(strings.Repeat("\x2a\x03\x04-", room/6), "-")[1:]...)}}
	// Many certificates of one name, each its own issuer's twin.
	var twins [][]byte
	for range MaxMessageCerts - 1 {
		twins = append(twins, certDef{subject: dn("CN=Twin"), issuer: dn("CN=Twin"), key: "p256-3", by: "p256-4", ext: [][]byte{basic(true, -1), aki("p256-3"), ski("p256-3")}}.der())
	}
	twinLeaf := certDef{subject: dn("CN=Low"), key: "p256-4", issuer: dn("CN=Twin"), by: "p256-3"}.der()
	var signers [][]byte
	for range MaxSigners {
		signers = append(signers, signerDef{cert: twinLeaf, key: "p256-4", content: script}.der())
	}
	return map[string][]byte{
		"good":                        good,
		"nested definite":             nested(100_000),
		"nested indefinite":           bytes.Repeat([]byte{0x30, 0x80}, MaxSize/2),
		"nested indefinite, 4 MB":     bytes.Repeat([]byte{0x30, 0x80}, 2<<20),
		"exponential for the library": append([]byte{0x30, 0x84, 0, 0, 0, 0x7a}, bytes.Repeat([]byte{0x30, 0x7f}, 60)...),
		"child longer than parent":    replace(good, append([]byte{0x30, 0x82, 0xff, 0xff}, bytes.Repeat([]byte{0x30, 0x7f}, 200)...), 1, 0),
		"a million empty elements":    replace(good, seq(bytes.Repeat([]byte{5, 0}, room/2)), 1, 0),
		"digests without end":         messageDef{digestAlgs: [][]byte{fill(digestAlg(crypto.SHA256), room)}, certs: [][]byte{leafDER}, signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script}.der()}}.der(),
		"attributes without end":      unsigned(fill(attribute("\x2a\x03\x04", null()), room)),
		"attribute values":            unsigned(seq(oidElement("\x2a\x03\x04"), rawSet(fill(null(), room)))),
		"certificates without end":    message(script, leafDER, "p256-2", fill(caDER, room)),
		"signers without end":         messageDef{certs: [][]byte{leafDER}, signers: [][]byte{fill(signerDef{cert: leafDER, key: "p256-2", content: script}.der(), room)}}.der(),
		"name of many parts":          message(script, leafDER, "p256-2", big.der()),
		"name of one wide part":       message(script, leafDER, "p256-2", wide.der()),
		"long name":                   message(script, leafDER, "p256-2", long.der()),
		"name of spaces":              message(script, leafDER, "p256-2", spaces.der()),
		"many extensions":             message(script, leafDER, "p256-2", manyExt.der()),
		"many alternative names":      message(script, leafDER, "p256-2", manyNames.der()),
		"many uses":                   message(script, leafDER, "p256-2", manyUses.der()),
		"long OID":                    unsigned(attribute(string(bytes.Repeat([]byte{0x81}, room))+"\x01", null())),
		"twins and many signers":      messageDef{certs: append([][]byte{twinLeaf}, twins...), signers: signers}.der(),
		"huge RSA key":                hugeRSA(),
		"random":                      pseudoRandom(MaxSize),
		"zeros":                       make([]byte, MaxSize),
		"text":                        bytes.Repeat([]byte("-----BEGIN PKCS7-----\n"), MaxSize/22),
	}
}

// hugeRSA is a self-signed signer, in the keyring of the test too, with the
// largest key that is accepted and a large exponent.
func hugeRSA() []byte {
	n := new(big.Int).Lsh(big.NewInt(1), MaxRSABits-1)
	n.SetBit(n, 0, 1)
	d := certDef{subject: dn("CN=Huge"), key: "p256-4", serial: integer(3), sign: func([]byte) []byte { return make([]byte, MaxRSABits/8) }}
	d.spki = seq(seq(oidElement(oidRSA), null()), bitString(seq(tlv(2, append([]byte{0}, n.Bytes()...)), integer(1<<31-1))))
	d.alg = seq(oidElement(oidRSASHA256), null())
	cert := d.der()
	si := signerDef{cert: cert, key: "p256-4", content: script, alg: seq(oidElement(oidRSASHA256), null())}.der()
	si = replace(si, octets(make([]byte, MaxRSABits/8)), 5)
	return messageDef{certs: [][]byte{cert}, signers: [][]byte{si}}.der()
}

// TestBounded: whatever the input, up to and over the limits, the answer comes
// within a second and 64 MiB.
func TestBounded(t *testing.T) {
	hugeCert := at(hugeRSA(), 1, 0, 3, 0)
	k, err := ParseKeyring(append(pemOf(hugeCert), ring...))
	if err != nil {
		t.Fatal(err)
	}
	c := NewContent("autorun.sh", script)
	for name, p7s := range nastyMessages() {
		bounded(t, name, func() { Verify(k, c, p7s, Options{}) })
		bounded(t, name+" (bundle)", func() { VerifyBundle(k, p7s, Options{AllowPartialChain: true}) })
	}
	for name, b := range nastyKeyrings() {
		bounded(t, "keyring "+name, func() {
			if k, err := ParseKeyring(b); err == nil {
				k.CheckAnchor(Options{})
				k.Equal(k)
				k.Certificates()
				Verify(k, c, message(script, leafDER, "p256-2"), Options{})
			}
		})
		bounded(t, "confusions "+name, func() { Confusions(b) })
	}
}

func nastyKeyrings() map[string][]byte {
	small := certDef{subject: dn("CN=x"), key: "p256-5", sign: func([]byte) []byte { return []byte{0} }}
	compressed := small
	compressed.key = "p521"
	compressed.spki = compressPoint(key("p521").spki)
	var many, heavy [][]byte
	for range MaxKeyringCerts + 5 {
		many = append(many, small.der())
		heavy = append(heavy, compressed.der())
	}
	most := pemOf(many[:MaxKeyringCerts]...)
	return map[string][]byte{
		"many certificates":    most,
		"too many":             pemOf(many...),
		"many P-521 points":    pemOf(heavy[:MaxKeyringCerts]...),
		"one many times":       bytes.Repeat(ring, MaxKeyringSize/len(ring)),
		"lines":                bytes.Repeat([]byte("\n"), MaxKeyringSize),
		"one line":             bytes.Repeat([]byte("x"), MaxKeyringSize),
		"begins":               bytes.Repeat([]byte("-----BEGIN CERTIFICATE-----\n"), MaxKeyringSize/28),
		"empty blocks":         bytes.Repeat([]byte("-----BEGIN X-----\n-----END X-----\n"), MaxKeyringSize/34),
		"small unknown blocks": bytes.Repeat([]byte("-----BEGIN X-----\nAAAA\n-----END X-----\n"), MaxKeyringSize/39),
		"one big block":        pemBlockOf("CERTIFICATE", make([]byte, 700_000)),
		"a CRL of many":        append(bytes.Clone(ring), pemBlockOf("X509 CRL", crlDef{issuer: ca.subject, by: ca.key, revoked: manySerials(20_000)}.der())...),
		"too large":            make([]byte, MaxKeyringSize+1),
	}
}

func manySerials(n int) [][]byte {
	var list [][]byte
	for i := range n {
		list = append(list, integer(int64(i+100_000)))
	}
	return list
}

// TestLargeScript: 64 MiB take memory for the content and little more, and one
// pass for SHA-256 and MD5.
func TestLargeScript(t *testing.T) {
	const size, spare = 64 << 20, 8 << 20
	b := make([]byte, size)
	copy(b, script)
	p7s := message(b, leafDER, "p256-2")
	k, _ := ParseKeyring(ring)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v, err := Verify(k, NewContent("autorun.sh", b), p7s, Options{})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > spare {
		t.Errorf("%d bytes allocated beyond the content", used)
	}
	if v.SHA256() != [32]byte(digestOf(crypto.SHA256, b)) || v.MD5() != [16]byte(digestOf(crypto.MD5, b)) {
		t.Error("wrong digests")
	}
	b[size-1] = 1
	c := NewContent("autorun.sh", b)
	bounded(t, "64 MiB that were changed", func() { // only the search for a reason costs passes
		if _, err := Verify(k, c, p7s, Options{}); ReasonOf(err) != WrongContent {
			t.Errorf("changed: %v", err)
		}
	})
}

// TestLimits: what is just within each limit passes, or is judged by what it is.
func TestLimits(t *testing.T) {
	k, _ := ParseKeyring(ring)
	c := NewContent("x", script)
	pad := func(n int) []byte { // a good signature of exactly n bytes
		d := func(pad int) []byte {
			return messageDef{certs: [][]byte{leafDER}, signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script,
				unsigned: [][]byte{attribute("\x2a\x03\x04", octets(make([]byte, pad)))}}.der()}}.der()
		}
		p := n - 1000
		for len(d(p)) != n {
			p += n - len(d(p))
		}
		return d(p)
	}
	// The length of an ECDSA signature varies: try until it fits.
	fits := false
	for range 20 {
		p7s := pad(MaxSize)
		if len(p7s) == MaxSize {
			_, err := Verify(k, c, p7s, Options{})
			fits = err == nil
			if fits {
				break
			}
			t.Log(err)
		}
	}
	if !fits {
		t.Error("a signature of MaxSize bytes is refused")
	}
	text := func(n int) []byte {
		return append(bytes.Repeat([]byte("#"), n-len(ring)-1), append([]byte("\n"), ring...)...)
	}
	if _, err := ParseKeyring(text(MaxKeyringSize)); err != nil {
		t.Errorf("a keyring of MaxKeyringSize bytes: %v", err)
	}
	if _, err := ParseKeyring(text(MaxKeyringSize + 1)); ReasonOf(err) != TooLarge {
		t.Errorf("a keyring of one byte more: %v", err)
	}
	many := nastyKeyrings()
	if k, err := ParseKeyring(many["many certificates"]); err != nil || len(k.Certificates()) != MaxKeyringCerts {
		t.Errorf("a keyring of MaxKeyringCerts certificates: %v", err)
	}
	if _, err := ParseKeyring(many["too many"]); ReasonOf(err) != TooLarge {
		t.Errorf("a keyring of more certificates: %v", err)
	}
	list := pemBlockOf("X509 CRL", crlDef{issuer: ca.subject, by: ca.key}.der())
	if _, err := ParseKeyring(append(bytes.Clone(ring), bytes.Repeat(list, MaxCRLs)...)); err != nil {
		t.Errorf("MaxCRLs lists: %v", err)
	}
	if _, err := ParseKeyring(append(bytes.Clone(ring), bytes.Repeat(list, MaxCRLs+1)...)); ReasonOf(err) != TooLarge {
		t.Errorf("more lists: %v", err)
	}
	if err := walkDER(nested(MaxDepth)); err != nil {
		t.Errorf("MaxDepth: %v", err)
	}
	if err := walkDER(nested(MaxDepth + 1)); ReasonOf(err) != NotDER {
		t.Errorf("deeper: %v", err)
	}
}

// TestKeyLimits: RSA keys of more bits, and keys whose passphrase costs too
// much.
func TestKeyLimits(t *testing.T) {
	rsaOf := func(bits int) string {
		n := new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), uint(bits-1)), 0, 1)
		d := certDef{subject: dn("CN=x"), key: "p256-4", spki: seq(seq(oidElement(oidRSA), null()), bitString(seq(tlv(2, append([]byte{0}, n.Bytes()...)), integer(65537))))}
		k, err := ParseKeyring(pemOf(d.der()))
		if err != nil {
			t.Fatal(err)
		}
		return k.Certificates()[0].Unusable
	}
	for bits, want := range map[int]string{MinRSABits - 8: "2048 are needed", MinRSABits: "", MaxRSABits: "", MaxRSABits + 8: "at most 16384"} {
		if got := rsaOf(bits); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("RSA %d: %q", bits, got)
		}
	}
	locked := func(kdf []byte) []byte {
		return seq(seq(oidElement(oidPBES2), seq(kdf, seq(oidElement("\x60\x86\x48\x01\x65\x03\x04\x01\x2a"), octets(make([]byte, 16))))), octets(make([]byte, 32)))
	}
	pass := func() ([]byte, error) { return []byte("x"), nil }
	for name, c := range map[string]struct {
		kdf  []byte
		want Reason
	}{
		"few rounds":       {seq(oidElement(oidPBKDF2), seq(octets([]byte("salt")), integer(10))), BadPassphrase},
		"too many rounds":  {seq(oidElement(oidPBKDF2), seq(octets([]byte("salt")), integer(MaxIterations+1))), Unsupported},
		"no rounds":        {seq(oidElement(oidPBKDF2), seq(octets([]byte("salt")), integer(0))), Unsupported},
		"small scrypt":     {seq(oidElement(oidScrypt), seq(octets([]byte("salt")), integer(16), integer(8), integer(1))), BadPassphrase},
		"scrypt too large": {seq(oidElement(oidScrypt), seq(octets([]byte("salt")), integer(MaxScrypt/128/8*2), integer(8), integer(1))), Unsupported},
	} {
		if _, err := ParseSigningKey(locked(c.kdf), pass); ReasonOf(err) != c.want && !(c.want == BadPassphrase && ReasonOf(err) == BadKey) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
