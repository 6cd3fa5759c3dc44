// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/test/need"
)

// TestErrorsTellWhatToMend: the texts that an integrator reads.
func TestErrorsTellWhatToMend(t *testing.T) {
	need.Tool(t, "openssl")
	good := message(script, leafDER, "p256-2")
	dir := t.TempDir()
	in, certFile := filepath.Join(dir, "in"), filepath.Join(dir, "leaf.pem")
	os.WriteFile(in, script, 0o600)
	os.WriteFile(certFile, pemOf(leafDER), 0o600)
	smime := func(args ...string) []byte {
		return mustRun(nil, "openssl", append([]string{"smime", "-sign", "-in", in, "-signer", certFile, "-inkey", key("p256-2").file}, args...)...)
	}
	others := pemOf(caDef("Vendor", "p256-5").der(), caDef("Customer", "p256-6").der())
	inter := leafDef("Intermediate", "p256-3", ca).extOnly(basic(true, -1), ski("p256-3"), aki("p256-1"))
	low := leafDef("Low", "p256-4", inter).der()
	tls := leafDef("Web server", "p256-4", ca).with(extUsage(false, ekuServerAuth, ekuClientAuth)).der()
	cross := certDef{subject: ca.subject, key: ca.key, issuer: dn("CN=Elsewhere"), by: "p256-5", ext: [][]byte{basic(true, -1), ski(ca.key)}}.der()
	weak := leafDef("Weak", "rsa1024", ca).der()
	for _, c := range []struct {
		name    string
		keyring []byte
		content []byte
		p7s     []byte
		o       Options
		want    string
	}{
		{"untrusted issuer", others, script, good, Options{}, "verify autorun.sh: signed by CN=Signer, issued by CN=Root,O=Corpus, which is not in the keyring (CN=Vendor,O=Corpus; CN=Customer,O=Corpus)"},
		{"intermediate missing", ring, script, message(script, low, "p256-4"), Options{}, "signed by CN=Low, issued by CN=Intermediate, which is not in the keyring (CN=Root,O=Corpus)"},
		{"root missing", others, script, message(script, low, "p256-4", inter.der()), Options{}, "signed by CN=Low, issued by CN=Intermediate, and CN=Intermediate was issued by CN=Root,O=Corpus, which is not in the keyring"},
		{"another key", pemOf(caDef("Root", "p256-5").der()), script, good, Options{}, "the keyring has a certificate of that name, but with another key"},
		{"cross-signed", pemOf(cross), script, good, Options{}, "signed by CN=Signer, whose chain ends in the keyring's CN=Root,O=Corpus, which is not self-signed, and its issuer CN=Elsewhere is not in the keyring (add that one, or set signature.allow_partial_chain)"},
		{"self-signed", ring, script, message(script, certDef{subject: dn("CN=Me"), key: "p256-4"}.der(), "p256-4"), Options{}, "signed by CN=Me, a self-signed certificate which is not in the keyring"},
		{"other content", ring, []byte("other"), good, Options{}, "the signature is for other content (signed by CN=Signer)"},
		{"line ends changed", ring, []byte(strings.ReplaceAll(string(script), "\n", "\r\n")), good, Options{}, "the signature is for this file with LF line ends; this one has CRLF (changed by an editor or a copy on Windows?)"},
		{"TLS", ring, script, message(script, tls, "p256-4"), Options{}, `the signer's certificate "CN=Web server" is for TLS only (extended key usage), smimesign needs e-mail protection or no such extension`},
		{"codesign", ring, script, good, Options{Purpose: CodeSign}, `the signer's certificate "CN=Signer" names no use (extended key usage), codesign needs code signing`},
		{"PEM", ring, script, smime("-binary", "-outform", "PEM"), Options{}, "this is PEM, the board needs DER (-outform DER)"},
		{"S/MIME", ring, script, smime("-binary"), Options{}, "this is an S/MIME message, the board needs DER (-outform DER)"},
		{"text mode", ring, script, smime("-outform", "DER"), Options{}, "the signature was made in text mode, for the content with CRLF line ends (use -binary)"},
		{"embedded", ring, script, smime("-binary", "-nodetach", "-outform", "DER"), Options{}, "the signature carries content itself"},
		{"no certificates", ring, script, smime("-binary", "-nocerts", "-outform", "DER"), Options{}, "the signer's certificate (issued by CN=Root,O=Corpus, serial number "},
		{"BER", ring, script, replace(good, indefinite(at(good, 1, 0, 4, 0)), 1, 0, 4, 0), Options{}, "indefinite length at byte "},
		{"cut off", ring, script, good[:200], Options{}, "(cut off?)"},
		{"weak key", ring, script, message(script, weak, "rsa1024"), Options{}, `the certificate "CN=Weak" is not accepted: its RSA key has 1024 bits, 2048 are needed`},
		{"weak digest", ring, script, smime("-binary", "-md", "sha1", "-outform", "DER"), Options{}, "the signature is made with SHA-1, which is not accepted (sign with -md sha256)"},
		{"not a pinned signer", ring, script, good, Options{Signers: []Fingerprint{{}}}, "signed by CN=Signer ("},
		{"no CRL", ring, script, good, Options{CheckCRL: true}, "signature.check_crl is on and the keyring has no CRL of CN=Root,O=Corpus"},
		{"keyring in DER", caDER, script, good, Options{}, "read keyring: this is DER, a keyring is PEM (openssl x509 -inform DER rewrites it)"},
		{"keyring empty", nil, script, good, Options{}, "read keyring: the file is empty"},
		{"keyring damaged", []byte(strings.Replace(string(ring), "END", "END ", 1)), script, good, Options{}, `read keyring: the block "CERTIFICATE" in line 1 is broken: its END line does not match`},
	} {
		k, err := ParseKeyring(c.keyring)
		if err == nil {
			_, err = Verify(k, NewContent("autorun.sh", c.content), c.p7s, c.o)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
		}
	}
}

// TestTheBERHintWorks: the command in the message about BER makes a signature
// that is accepted.
func TestTheBERHintWorks(t *testing.T) {
	need.Tool(t, "openssl")
	good := message(script, leafDER, "p256-2")
	ber := replace(good, indefinite(at(good, 1, 0, 4, 0)), 1, 0, 4, 0)
	der := mustRun(ber, "openssl", "cms", "-cmsout", "-inform", "DER", "-outform", "DER")
	if err := verdict(vcase{keyring: ring, content: script, p7s: der}); err != nil {
		t.Error(err)
	}
}

// TestSignaturesOfOtherTools verifies detached signatures that other programs
// made: gpgsm (BER frame) and Python's cryptography.
func TestSignaturesOfOtherTools(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", "interop", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, name := range []string{"gpgsm.p7s", "python-cryptography.p7s"} {
		if err := verdict(vcase{keyring: read("keyring.pem"), content: read("content"), p7s: read(name)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if ok, said := reference(t, vcase{keyring: read("keyring.pem"), content: read("content"), p7s: read(name)}); !ok {
			t.Errorf("%s: the reference: %s", name, said)
		}
	}
}

// TestNamesAreEscaped: a name in a message cannot end a line or play with the
// terminal, and is bounded.
func TestNamesAreEscaped(t *testing.T) {
	nasty := certDef{subject: dn("CN=a\nb\x1b[31m\u202e,=" + strings.Repeat("x", 10000)), key: "p256-4"}.der()
	err := verdict(vcase{keyring: ring, content: script, p7s: message(script, nasty, "p256-4")})
	if err == nil || strings.ContainsAny(err.Error(), "\n\x1b\u202e") || len(err.Error()) > 2000 {
		t.Errorf("%q", err)
	}
}

// TestNoPanicLeavesThePackage: a fault becomes a refusal.
func TestNoPanicLeavesThePackage(t *testing.T) {
	v, err := safely(func() (*Verified, error) { panic("fault") })
	if v != nil || ReasonOf(err) != Internal || !strings.Contains(err.Error(), "fault") {
		t.Errorf("%v, %v", v, err)
	}
}
