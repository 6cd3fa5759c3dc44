// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/signature"
	"usbagent/test/need"
)

// opensslConfig makes a CA whose names and extensions print in as many ways
// as openssl knows.
const opensslConfig = `
[req]
distinguished_name = dn
prompt = no
x509_extensions = v3
[dn]
C = DE
O = Example \#1 "Q" \\ Straße & Söhne
CN = Root CA
[v3]
basicConstraints = critical,CA:TRUE,pathlen:3
keyUsage = keyCertSign,cRLSign,digitalSignature
extendedKeyUsage = emailProtection,1.2.3.4
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer:always
subjectAltName = email:a@b.c,URI:http://x/y,IP:10.0.0.1,DNS:*.x,dirName:dn,otherName:1.2.3;UTF8:x
certificatePolicies = 1.2.3.4,@pol
crlDistributionPoints = URI:http://x/crl
authorityInfoAccess = OCSP;URI:http://o/,caIssuers;URI:http://i/
nsComment = "OpenSSL Generated Certificate; reboot"
nsCertType = emailCA,sslCA
nameConstraints = permitted;DNS:.x,excluded;email:y,permitted;IP:10.0.0.0/255.0.0.0
policyConstraints = requireExplicitPolicy:3
inhibitAnyPolicy = 2
tlsfeature = status_request
1.2.3.4.5 = ASN1:UTF8String:some text
noCheck = ignored
[pol]
policyIdentifier = 1.3.5.8
CPS.1 = "http://my.host/"
userNotice.1 = @notice
[notice]
explicitText = "Explicit text: (c) 2024; all rights reserved"
organization = "Example"
noticeNumbers = 1,2
[ca]
default_ca = c
[c]
database = index
crlnumber = number
default_md = sha256
default_crl_days = 30
crl_extensions = crlext
new_certs_dir = .
serial = serial
policy = anything
default_days = 100
unique_subject = no
x509_extensions = plain
[plain]
basicConstraints = CA:TRUE
[crlext]
authorityKeyIdentifier = keyid:always
[anything]
commonName = supplied
`

// script prepares the files that the cases below are made of.
const script = `set -e
openssl req -utf8 -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -config c.cnf -days 100
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ec.key -out ec.pem -subj /CN=EC -days 100
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:brainpoolP256r1 -pkeyopt ec_param_enc:explicit -nodes -keyout bp.key -out bp.pem -subj /CN=BP -days 100
openssl req -x509 -newkey ed25519 -nodes -keyout ed.key -out ed.pem -subj /CN=ED -days 100
openssl req -x509 -newkey rsa-pss -pkeyopt rsa_keygen_bits:2048 -nodes -keyout pss.key -out pss.pem -subj /CN=PSS -days 100
openssl req -x509 -newkey rsa-pss -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha256 -pkeyopt rsa_pss_keygen_mgf1_md:sha256 -pkeyopt rsa_pss_keygen_saltlen:32 -nodes -keyout pss2.key -out pss2.pem -subj /CN=PSS2 -days 100
openssl req -x509 -key ec.key -out negative.pem -subj / -days 100 -set_serial -5
openssl req -x509 -key ec.key -out small.pem -subj /CN=small -days 100 -set_serial 5
openssl x509 -req -in <(openssl req -new -key ec.key -subj /CN=v1) -key ec.key -out v1.pem -days 10 2>/dev/null || cp ec.pem v1.pem
printf 'R\t300101000000Z\t240101000000Z,keyCompromise\t0A\tunknown\t/CN=x\nR\t300101000000Z\t240101000000Z\t0B\tunknown\t/CN=y\n' > index
echo 01 > number; echo 01 > serial
openssl ca -config c.cnf -gencrl -keyfile ca.key -cert ca.pem -out crl.pem
cp index index.full; : > index
openssl ca -config c.cnf -gencrl -keyfile ca.key -cert ca.pem -out empty.crl.pem
openssl req -new -key ec.key -subj /CN=issued -out issued.csr
openssl ca -batch -config c.cnf -keyfile ca.key -cert ca.pem -in issued.csr -out issued.pem
openssl pkcs12 -export -in ca.pem -inkey ca.key -passout pass: -name 'friendly # name' -caname 'other name' -certfile ec.pem -out a.p12
openssl pkcs12 -export -in ca.pem -nokeys -passout pass: -out nokey.p12 -jdktrust anyExtendedKeyUsage 2>/dev/null || openssl pkcs12 -export -in ca.pem -nokeys -passout pass: -out nokey.p12
`

// styles are the commands whose output people use as keyrings, or paste
// around their certificates.
var styles = map[string]string{
	"bare":                  "cat ca.pem",
	"two":                   "cat ca.pem ec.pem",
	"every key":             "cat ca.pem ec.pem bp.pem ed.pem pss.pem pss2.pem negative.pem v1.pem",
	"x509 -text":            "openssl x509 -in ca.pem -text",
	"x509 -text, elliptic":  "openssl x509 -in ec.pem -text",
	"x509 -text, explicit":  "openssl x509 -in bp.pem -text",
	"x509 -text, Ed25519":   "openssl x509 -in ed.pem -text",
	"x509 -text, PSS":       "openssl x509 -in pss.pem -text; openssl x509 -in pss2.pem -text",
	"x509 -text, negative":  "openssl x509 -in negative.pem -text",
	"x509 -text, small":     "openssl x509 -in small.pem -text",
	"x509 -text, v1":        "openssl x509 -in v1.pem -text",
	"x509 -text, names":     "for n in compat oneline RFC2253 multiline utf8,-esc_msb,sep_comma_plus sep_multiline,lname; do openssl x509 -in ca.pem -text -nameopt $n; done",
	"text only above":       "openssl x509 -in ca.pem -text -noout; cat ca.pem",
	"x509 one-liners":       "openssl x509 -in ca.pem -subject -issuer -dates -serial -hash -issuer_hash -fingerprint -sha256 -modulus; openssl x509 -in ca.pem -fingerprint -sha1",
	"x509 -nameopt":         "for n in compat oneline RFC2253 multiline; do openssl x509 -in ca.pem -subject -issuer -nameopt $n; done",
	"empty name":            "openssl x509 -in negative.pem -subject -issuer",
	"trustout":              "openssl x509 -in ca.pem -trustout -addtrust emailProtection -addreject clientAuth -setalias 'my alias' -text",
	"trustout, plain":       "openssl x509 -in ca.pem -trustout -alias",
	"trustout, no uses":     "openssl x509 -in ca.pem -trustout -setalias x | openssl x509 -trustout -text",
	"ca":                    "cat issued.pem ca.pem",
	"pkcs12 -nokeys":        "openssl pkcs12 -in a.p12 -nokeys -passin pass:",
	"pkcs12 -cacerts":       "openssl pkcs12 -in a.p12 -nokeys -cacerts -passin pass:",
	"pkcs12, trust":         "openssl pkcs12 -in nokey.p12 -nokeys -passin pass:",
	"crl":                   "cat ca.pem crl.pem",
	"crl -text":             "cat ca.pem; openssl crl -in crl.pem -text; openssl crl -in empty.crl.pem -text",
	"crl one-liners":        "cat ca.pem; openssl crl -in crl.pem -issuer -lastupdate -nextupdate -hash -fingerprint -crlnumber",
	"crl2pkcs7, pkcs7":      "openssl crl2pkcs7 -certfile ca.pem -in crl.pem | openssl pkcs7 -print_certs; openssl crl2pkcs7 -certfile ca.pem -nocrl | openssl pkcs7 -print_certs -text",
	"storeutl":              "openssl storeutl ca.pem; openssl storeutl -text -certs ec.pem; openssl storeutl -crls crl.pem",
	"Windows":               "sed 's/$/\\r/' ca.pem",
	"Windows, -text":        "openssl x509 -in ca.pem -text | sed 's/$/\\r/'",
	"byte order mark":       "printf '\\357\\273\\277'; cat ca.pem; printf '\\357\\273\\277'; cat ec.pem",
	"comments":              "echo '# our CA'; echo; echo '   # -----------------'; cat ca.pem; echo '#'; echo '## EC'; cat ec.pem",
	"blank line in a block": "sed '1a\\\\' ca.pem",
	"no newline at the end": "printf %s \"$(cat ca.pem)\"",
	"old title":             "sed 's/CERTIFICATE/X509 CERTIFICATE/' ca.pem",
	"s_client -showcerts": `openssl s_server -accept 127.0.0.1:$PORT -cert ec.pem -key ec.key -quiet > server.log 2>&1 & p=$!
		for i in $(seq 50); do sleep 0.1
			echo | openssl s_client -connect 127.0.0.1:$PORT -showcerts > client.log 2> /dev/null || continue
			sed -n '/^Certificate chain/,/^No client/p' client.log | grep -v '^No client'; kill $p; exit 0
		done; kill $p; exit 1`,
}

// workshop is a directory with the files of script.
func workshop(t testing.TB) string {
	need.Tool(t, "openssl")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "c.cnf"), []byte(opensslConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	shell(t, dir, script)
	return dir
}

func shell(t testing.TB, dir, text string) []byte {
	t.Helper()
	cmd := exec.Command(need.Tool(t, "bash"), "-c", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PORT="+port(t), "LC_ALL=C")
	var message strings.Builder
	cmd.Stderr = &message
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", text, err, &message)
	}
	return out
}

// port is one that nobody listens on.
func port(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestStylesOfOpenSSL: everything that openssl writes around certificates may
// stand in a keyring.
func TestStylesOfOpenSSL(t *testing.T) {
	dir := workshop(t)
	for name, command := range styles {
		t.Run(name, func(t *testing.T) {
			text := shell(t, dir, command)
			k, err := Check(text, Rules{})
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if want := strings.Count(string(text), "CERTIFICATE-----") / 2; len(k.Certificates()) > want || len(k.Certificates()) == 0 {
				t.Errorf("%d certificates of %d", len(k.Certificates()), want)
			}
		})
	}
}

// TestStylesOfOtherVersions: testdata/accept has what other versions and tools
// write and this machine's openssl does not. CERT stands for a certificate.
func TestStylesOfOtherVersions(t *testing.T) {
	for name, text := range samples(t, "accept") {
		if _, err := Check(text, Rules{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoKeyring: testdata/refuse has what must not become a keyring. The name
// of each file begins with the reason.
func TestNoKeyring(t *testing.T) {
	reasons := map[string]error{"script": ErrScript, "text": ErrText, "block": ErrBlock}
	for name, text := range samples(t, "refuse") {
		reason, _, _ := strings.Cut(name, "-")
		_, err := Check(text, Rules{})
		if want, ok := reasons[reason]; ok && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		} else if !ok && signature.ReasonOf(err) != signature.BadPEM {
			t.Errorf("%s: %v, want bad PEM", name, err)
		}
	}
}

// samples reads testdata/kind, where a line CERT stands for a certificate.
func samples(t testing.TB, kind string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/" + kind + "/*")
	if err != nil || len(names) == 0 {
		t.Fatalf("no samples in testdata/%s: %v", kind, err)
	}
	cert, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	list := map[string][]byte{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		list[filepath.Base(name)] = []byte(strings.ReplaceAll(string(text), "CERT\n", string(cert)))
	}
	return list
}

// TestNoScriptOfThisMachineIsAKeyring: real scripts, with a certificate in a
// here-document at the end, in the middle, or bare at either end.
func TestNoScriptOfThisMachineIsAKeyring(t *testing.T) {
	cert, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	here := "cat > /etc/rauc/keyring.pem <<EOF\n" + string(cert) + "EOF\n"
	count := 0
	for _, pattern := range []string{"/etc/init.d/*", "/usr/bin/*", "/usr/sbin/*", "/usr/lib/*/*.sh", "/etc/*/*.sh"} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil || len(text) > 1<<17 || !strings.HasPrefix(string(text), "#!") {
				continue
			}
			count++
			first, rest, _ := strings.Cut(string(text), "\n")
			for i, s := range []string{
				string(text) + here, string(text) + string(cert), string(cert) + string(text), first + "\n" + here + rest,
				rest + string(cert), string(cert) + rest, here + rest, // without the #! line
			} {
				if _, err := Check([]byte(s), Rules{}); err == nil {
					t.Errorf("%s, form %d, is a keyring", name, i)
				}
			}
		}
	}
	if count < 5 {
		need.Machine(t, "five shell scripts to try (in /usr/bin and the like)")
	}
}

// TestAnchor: a keyring that could never verify anything again.
func TestAnchor(t *testing.T) {
	root := newAuthority(t, "Root")
	cross := issue(t, "Cross", root)
	tests := map[string]struct {
		text  []byte
		rules Rules
		ok    bool
	}{
		"root":                             {root.pem, Rules{RequireAnchor: true}, true},
		"cross-signed only":                {cross.pem, Rules{RequireAnchor: true}, false},
		"cross-signed only, not required":  {cross.pem, Rules{}, true},
		"cross-signed only, partial chain": {cross.pem, Rules{RequireAnchor: true, Verify: signature.Options{AllowPartialChain: true}}, true},
		"both":                             {append(cross.pem[:len(cross.pem):len(cross.pem)], root.pem...), Rules{RequireAnchor: true}, true},
	}
	for name, tt := range tests {
		_, err := Check(tt.text, tt.rules)
		if tt.ok != (err == nil) || err != nil && signature.ReasonOf(err) != signature.NoAnchor {
			t.Errorf("%s: %v", name, err)
		}
	}
}
