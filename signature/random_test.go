// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"usbagent/test/need"
)

// randomCases is how many random cases a plain test run compares.
// USBAGENT_RANDOM=N runs N with another seed each time, to look for new ones.
const randomCases = 250

func randomRun(t *testing.T) (n int, seed uint64) {
	need.Tool(t, "openssl")
	if v := os.Getenv("USBAGENT_RANDOM"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		return n, uint64(time.Now().UnixNano())
	}
	return randomCases, 1
}

// compareRandom runs both on one random case and reports whether it was
// accepted. Only these reasons may be stricter than the reference.
func compareRandom(t *testing.T, dir, name string, c vcase, allowed ...Reason) bool {
	t.Helper()
	for file, b := range map[string][]byte{"keyring.pem": c.keyring, "content": c.content, "content.p7s": c.p7s} {
		os.WriteFile(filepath.Join(dir, file), b, 0o600)
	}
	ours := verdict(c)
	ref, said := runReference(t, dir, c.o)
	wrong := ours == nil && !ref || ours != nil && ref && !slices.Contains(allowed, ReasonOf(ours))
	if wrong {
		keep, _ := os.MkdirTemp("", "random-case-")
		os.CopyFS(keep, os.DirFS(dir))
		t.Errorf("%s: %v, reference %v %s (kept in %s)", name, ours, ref, said, keep)
	}
	return ours == nil
}

// pick returns one of list.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// TestRandomPKI makes little PKIs by chance, few names and keys so that they
// often meet, and compares the verdicts: chain building, identifiers, purposes,
// path lengths, name constraints, all at once.
func TestRandomPKI(t *testing.T) {
	t.Parallel()
	n, seed := randomRun(t)
	r := rand.New(rand.NewPCG(seed, 2))
	dir := t.TempDir()
	accepted := 0
	for i := range n {
		if compareRandom(t, dir, fmt.Sprintf("seed %d case %d", seed, i), randomPKI(r), Unsupported) {
			accepted++
		}
	}
	t.Logf("%d of %d accepted", accepted, n)
	if accepted == 0 {
		t.Error("not one case is accepted: the generator is no good")
	}
}

// TestRandomSettings does the same under check_purpose = "any",
// allow_partial_chain and check_crl, with CRLs in the keyring and the message.
func TestRandomSettings(t *testing.T) {
	t.Parallel()
	n, seed := randomRun(t)
	r := rand.New(rand.NewPCG(seed, 4))
	dir := t.TempDir()
	accepted := 0
	for i := range n {
		c := randomPKI(r)
		c.o = Options{Purpose: pick(r, "", SMIMESign, AnyUse), AllowPartialChain: r.IntN(2) == 0, CheckCRL: r.IntN(2) == 0}
		if c.o.CheckCRL {
			withRandomCRLs(r, &c)
		}
		if compareRandom(t, dir, fmt.Sprintf("seed %d case %d %+v", seed, i, c.o), c, NoCRL, Revoked, Unsupported) {
			accepted++
		}
	}
	t.Logf("%d of %d accepted", accepted, n)
	if accepted == 0 {
		t.Error("not one case is accepted: the generator is no good")
	}
}

// withRandomCRLs adds lists of the usual issuers, most of them good.
func withRandomCRLs(r *rand.Rand, c *vcase) {
	var lists [][]byte
	for i, n := range [][]byte{dn("CN=A"), dn("CN=B"), dn("O=Corpus", "CN=C"), dn("CN=A")} {
		if r.IntN(10) == 0 {
			continue
		}
		d := crlDef{issuer: n, by: []string{"p256-1", "p256-2", "p256-3"}[i%3], spoil: r.IntN(20) == 0}
		if r.IntN(6) == 0 {
			d.revoked = [][]byte{integer(int64(1 + r.IntN(4)))}
		}
		if r.IntN(3) == 0 {
			d.ext = append(d.ext, aki(d.by))
		}
		lists = append(lists, d.der())
	}
	for _, l := range lists {
		if r.IntN(8) == 0 {
			c.p7s = insert(c.p7s, ctx(1, l), 4, 1, 0)
			return
		}
		c.keyring = append(c.keyring, pemBlockOf("X509 CRL", l)...)
	}
}

func randomPKI(r *rand.Rand) vcase {
	names := [][]byte{dn("CN=A"), dn("CN=B"), dn("O=Corpus", "CN=C"), seq(rdn(oidCommonName, printable("a")))}
	keys := []string{"p256-1", "p256-2", "p256-3", "rsa2048-1"}
	// Each name usually has one key, as in life.
	home := map[string]string{}
	for i, n := range names {
		home[string(n)] = keys[i%3]
	}
	keyOf := func(n []byte) string {
		if r.IntN(6) == 0 {
			return pick(r, keys...)
		}
		return home[string(n)]
	}
	var certs [][]byte
	var holders []string
	for range 3 + r.IntN(5) {
		subject, issuer := pick(r, names...), pick(r, names...)
		if r.IntN(3) == 0 {
			issuer = subject
		}
		d := certDef{subject: subject, key: keyOf(subject), issuer: issuer, by: keyOf(issuer), serial: integer(int64(1 + r.IntN(4)))}
		if bytes.Equal(subject, issuer) && r.IntN(4) != 0 {
			d.by = d.key
		}
		d.version = pick(r, 0, 0, 0, 0, 0, 0, -1, int64(1))
		d.ext = randomExtensions(r, d)
		certs = append(certs, d.der())
		holders = append(holders, d.key)
	}
	signer := r.IntN(len(certs))
	var keyring, carried [][]byte
	for i, c := range certs {
		switch r.IntN(4) {
		case 0:
			keyring = append(keyring, c)
		case 1:
			carried = append(carried, c)
		case 2:
			keyring, carried = append(keyring, c), append(carried, c)
		}
		if i == signer && r.IntN(20) != 0 {
			carried = append(carried, c)
		}
	}
	if len(keyring) == 0 {
		keyring = append(keyring, certs[r.IntN(len(certs))])
	}
	r.Shuffle(len(keyring), func(i, j int) { keyring[i], keyring[j] = keyring[j], keyring[i] })
	r.Shuffle(len(carried), func(i, j int) { carried[i], carried[j] = carried[j], carried[i] })
	return vcase{keyring: pemOf(keyring...), content: script, p7s: messageDef{certs: carried,
		signers: [][]byte{signerDef{cert: certs[signer], key: holders[signer], content: script}.der()}}.der()}
}

func randomExtensions(r *rand.Rand, d certDef) [][]byte {
	var ext [][]byte
	often := func(n int, e []byte) {
		if r.IntN(n) != 0 {
			ext = append(ext, e)
		}
	}
	seldom := func(n int, e []byte) {
		if r.IntN(n) == 0 {
			ext = append(ext, e)
		}
	}
	often(8, basic(r.IntN(8) != 0, pick(r, -1, -1, -1, 0, 1)))
	seldom(3, keyUsage(pick[byte](r, 0x84, 0x84, 0xc6, 0x80, 0x04, 0x02)))
	seldom(6, extUsage(r.IntN(2) == 0, pick(r, []string{ekuEmail}, []string{ekuEmail, ekuServerAuth}, []string{ekuServerAuth}, []string{ekuAny})...))
	seldom(2, ski(d.key))
	switch r.IntN(6) {
	case 0, 1:
		ext = append(ext, aki(d.by))
	case 2:
		ext = append(ext, akiOf(ctx(1, dirName(pick(r, dn("CN=A"), dn("CN=B")))), ctxPrim(2, integer(int64(1 + r.IntN(4)))[2:])))
	case 3:
		seldom(3, akiOf(ctxPrim(0, keyID(pick(r, "p256-1", "p256-2", "p256-3")))))
	}
	seldom(20, nsCertType(pick[byte](r, 0x22, 0x20, 0x40, 0x04)))
	seldom(15, constraints(r.IntN(2) == 0, [][]byte{dirName(pick(r, dn("CN=A"), dn("O=Corpus"), seq()))}, nil))
	seldom(20, constraints(r.IntN(2) == 0, nil, [][]byte{pick(r, dirName(dn("CN=B")), dns("example.org"), email("example.org"))}))
	seldom(15, altNames(pick(r, dns("a.example.org"), email("a@example.org"), dirName(dn("CN=B")))))
	seldom(30, extension("\x2a\x03\x04", r.IntN(2) == 0, null()))
	return ext
}

// TestRandomEdits damages good keyrings and messages by chance, element by
// element and byte by byte.
func TestRandomEdits(t *testing.T) {
	t.Parallel()
	n, seed := randomRun(t)
	r := rand.New(rand.NewPCG(seed, 3))
	dir := t.TempDir()
	inter := leafDef("Intermediate", "p256-3", ca).extOnly(basic(true, -1), keyUsage(usageCertSign), ski("p256-3"), aki("p256-1"))
	low := leafDef("Low", "p256-4", inter)
	base := vcase{keyring: pemOf(caDER, leafDER), content: script, p7s: message(script, low.der(), "p256-4", inter.der(), leafDER)}
	accepted := 0
	for i := range n {
		c := base
		switch r.IntN(8) {
		case 0:
			c.keyring = editPEM(r, c.keyring)
		case 1:
			c.keyring = pemOf(edit(r, caDER), leafDER)
		case 2:
			c.keyring = pemOf(edit(r, leafDER), caDER)
		case 3:
			c.p7s = frame(c.p7s)
			for range 1 + r.IntN(2) {
				c.p7s = editByte(r, c.p7s)
			}
		default:
			for range 1 + r.IntN(2) {
				c.p7s = edit(r, c.p7s)
			}
		}
		// Damage is anything: here only what is accepted too much counts.
		if compareRandom(t, dir, fmt.Sprintf("seed %d case %d", seed, i), c, NotDER, Malformed, Unsupported, BadPEM, WeakDigest, EmbeddedContent, TooLarge, IsPEM) {
			accepted++
		}
	}
	t.Logf("%d of %d accepted", accepted, n)
}

// edit changes one element of der: away, twice, swapped with another, replaced,
// or a byte in it.
func edit(r *rand.Rand, der []byte) []byte {
	defer func() { _ = recover() }() // what is broken already cannot be edited as DER
	path, e := randomElement(r, der)
	if len(path) == 0 {
		return editByte(r, der)
	}
	parent, last := path[:len(path)-1], path[len(path)-1]
	switch r.IntN(7) {
	case 0:
		return remove(der, last, parent...)
	case 1:
		return insert(der, e, last, parent...)
	case 2:
		_, other := randomElement(r, der)
		return replace(der, other, path...)
	case 3:
		return replace(der, pick(r, null(), seq(), set(), integer(0), octets(nil), boolean(true), ctx(0), ctxPrim(1, []byte{0})), path...)
	case 4:
		c := slices.Clone(e)
		c[0] ^= 1 << r.IntN(8)
		return replace(der, c, path...)
	case 5:
		c := slices.Clone(e)
		if len(c) > 2 {
			c[2+r.IntN(len(c)-2)] ^= byte(1 + r.IntN(255))
		}
		return replace(der, c, path...)
	}
	return editByte(r, der)
}

func editByte(r *rand.Rand, der []byte) []byte {
	c := slices.Clone(der)
	c[r.IntN(len(c))] ^= byte(1 + r.IntN(255))
	return c
}

// randomElement walks down der by chance.
func randomElement(r *rand.Rand, der []byte) (path []int, e []byte) {
	e = der
	for e[0]&0x20 != 0 && walkDER(e) == nil {
		c := children(e)
		if len(c) == 0 || len(path) > 1 && r.IntN(5) == 0 {
			return path, e
		}
		i := r.IntN(len(c))
		path, e = append(path, i), c[i]
	}
	return path, e
}

func editPEM(r *rand.Rand, b []byte) []byte {
	lines := bytes.SplitAfter(b, []byte("\n"))
	i, j := r.IntN(len(lines)), r.IntN(len(lines))
	switch r.IntN(6) {
	case 0:
		lines = slices.Delete(lines, i, i+1)
	case 1:
		lines = slices.Insert(lines, i, lines[j])
	case 2:
		lines[i], lines[j] = lines[j], lines[i]
	case 3:
		lines = slices.Insert(lines, i, pick(r, []byte("\n"), []byte("text\n"), []byte("key: value\n"), []byte("\xef\xbb\xbf"), []byte(" "), []byte("=\n"), []byte("\r\n"), []byte("-\n"), []byte("-----BEGIN CERTIFICATE-----\n"), []byte("\x00")))
	case 4:
		lines[i] = bytes.TrimRight(lines[i], "\n")
	default:
		return editByte(r, b)
	}
	return bytes.Join(lines, nil)
}
