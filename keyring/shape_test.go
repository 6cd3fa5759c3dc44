// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shapes are the functions of shape.go and what they stand for.
var shapes = []struct {
	name string
	is   func(string) bool
	want *regexp.Regexp
}{
	{"isMarker", isMarker, regexp.MustCompile(`(?i)^#\s*usbagent\s*:`)},
	{"isLabel", isLabel, regexp.MustCompile(`^[A-Za-z0-9(][A-Za-z0-9 .,/()_'-]*:( .*)?$`)},
	{"isName", isName, regexp.MustCompile(`^[A-Za-z0-9.-]+ *= ?.*$`)},
	{"isBytesOfDump", isBytesOfDump, regexp.MustCompile(`^[0-9A-Fa-f]{2}([: ][0-9A-Fa-f]{2})*:?$`)},
	{"isPhrase", isPhrase, regexp.MustCompile(`^(Validity|Version [0-9]+ \(0x[0-9a-f]+\)|Unable to load Public Key|No PSS parameter restrictions|No Revoked Certificates\.|<EMPTY>|INVALID PSS PARAMETERS)$`)},
	{"isUse", isUse, regexp.MustCompile(`^[A-Z0-9][A-Za-z0-9 /.,-]*$`)},
	{"isFailure", isFailure, regexp.MustCompile(`^[0-9A-F]+:error:.*$`)},
	{"isChain", isChain, regexp.MustCompile(`^ ?[0-9]{1,3} s:|^ {2,4}[iav]:`)},
	{"isSingle", isSingle, regexp.MustCompile(`^(` + strings.Join([]string{
		`(subject|issuer)= ?(/|[A-Za-z0-9.-]+ ?=).*`,
		`(subject|issuer)=<EMPTY>`,
		`(notBefore|notAfter|lastUpdate|nextUpdate)=[A-Za-z0-9: ,-]+`,
		`(serial|crlNumber)=-?(0x)?[0-9A-Fa-f]+`,
		`Modulus=[0-9A-F]+`,
		`[A-Za-z0-9-]+ Fingerprint=[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*`,
		`(issuer name hash=|subject name hash=)?[0-9a-f]{8}`,
		`(Bag|Key) Attributes: <(No|Empty) Attributes>`,
		`Certificate chain`, `Server certificate`, `---`,
		`[0-9]{1,4}: (Certificate|CRL)`, `Total found: [0-9]{1,4}`,
		`No Trusted Uses\.`, `No Rejected Uses\.`, `Alias: .*`, `<No Alias>`, `Key Id: [0-9A-F:]+`,
	}, "|") + `)$`)},
}

// goodLines have each shape in its forms.
var goodLines = []string{
	"# usbagent: x", "#\t USBagent \f:", "#u\u017fbagent:", "Label:", "(Label a.b,c/d()_'-): text", "a.b-C  = x", "CN=x", "ab", "AB:cd 01:",
	"Validity", "Version 3 (0x2)", "Unable to load Public Key", "No PSS parameter restrictions", "No Revoked Certificates.", "<EMPTY>", "INVALID PSS PARAMETERS",
	"E-mail Protection, S/MIME", "00A1:error:text", "0 s:", " 123 s:x", "  i:", "    v:x", "   a:",
	"subject=/CN=x", "issuer= CN = x", "subject=<EMPTY>", "notBefore=Jan  1 00:00:00 2026 GMT", "notAfter=2026-01-01", "lastUpdate=NONE", "nextUpdate=x, y",
	"serial=-0xAb", "serial=0", "crlNumber=0x0", "Modulus=0AF", "SHA-256 Fingerprint=AB:cd:01", "issuer name hash=0123abcd", "subject name hash=0123abcd", "0123abcd",
	"Bag Attributes: <No Attributes>", "Key Attributes: <Empty Attributes>", "Certificate chain", "Server certificate", "---",
	"0: Certificate", "1234: CRL", "Total found: 12", "No Trusted Uses.", "No Rejected Uses.", "Alias: a=b: c", "<No Alias>", "Key Id: AB:CD",
}

func compareShapes(t *testing.T, line string) (hits int) {
	t.Helper()
	for _, s := range shapes {
		got, want := s.is(line), s.want.MatchString(line)
		if got != want {
			t.Errorf("%s(%q) = %v", s.name, line, got)
		}
		if want {
			hits++
		}
	}
	return hits
}

// TestShapes compares the good lines, all lines of the samples, and both with
// one to three bytes taken out, put in or exchanged.
func TestShapes(t *testing.T) {
	lines := append([]string{""}, goodLines...)
	for _, seed := range seeds(t) {
		for line := range bytes.Lines(seed) {
			line = bytes.TrimRight(line, "\n")
			lines = append(lines, string(line), strings.TrimSpace(string(line)))
		}
	}
	for _, line := range goodLines {
		if compareShapes(t, line) == 0 {
			t.Errorf("%q has no shape", line)
		}
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	const others = " \t\r\f=:-./(<#0xaAfFgzZ,'_\xff\u017f"
	random := rand.New(rand.NewPCG(1, 2))
	for _, line := range lines {
		compareShapes(t, line)
		for range 100 {
			b := []byte(line)
			for range 1 + random.IntN(3) {
				at, c := random.IntN(len(b)+1), others[random.IntN(len(others))]
				switch random.IntN(3) {
				case 0:
					b = append(b[:at], append([]byte{c}, b[at:]...)...)
				case 1:
					b = append(b[:at], b[min(at+1, len(b)):]...)
				default:
					if at < len(b) {
						b[at] = c
					}
				}
			}
			compareShapes(t, string(b))
		}
	}
}

// FuzzShapes compares lines that nobody thought of.
func FuzzShapes(f *testing.F) {
	for _, line := range goodLines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if !strings.Contains(line, "\n") {
			compareShapes(t, line)
		}
	})
}
