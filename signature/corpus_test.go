// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"usbagent/test/need"
)

// minCorpus is how many cases the differential corpus has at least.
const minCorpus = 300

// vcase is one case of the differential corpus: a keyring, a content, a
// signature, and our verdict: want is the reason of the refusal, "" means
// accepted. The reference command must say the same, except where stricter names
// the row of the table in docs/signatures.md that says why we refuse what it
// accepts.
type vcase struct {
	name     string
	keyring  []byte
	content  []byte
	p7s      []byte
	want     Reason
	stricter string
	o        Options // the reference is run with the same
}

// corpusClasses make the cases, class by class.
var corpusClasses = []struct {
	name string
	make func(add func(vcase))
}{
	{"command", commandCases},
	{"keys", keyCases},
	{"digests", digestCases},
	{"attributes", attributeCases},
	{"structure", structureCases},
	{"content", contentCases},
	{"certificates", certificateCases},
	{"paths", pathCases},
	{"identifiers", identifierCases},
	{"purpose", purposeCases},
	{"constraints", constraintCases},
	{"name-constraints", nameConstraintCases},
	{"extensions", extensionCases},
	{"names", nameCases},
	{"fields", fieldCases},
	{"signers", signerCases},
	{"encoding", encodingCases},
	{"keyrings", keyringCases},
}

var script = []byte("#!/bin/sh\nlogger hello\nexit 0\n")

// TestCorpus runs the reference command and this package side by side on every
// case. Never may this package accept what the command rejects; rejecting what
// it accepts must be a row of docs/signatures.md.
func TestCorpus(t *testing.T) {
	need.Tool(t, "openssl")
	documented := stricterRows(t)
	seen := map[string]bool{}
	total, stricter := 0, 0
	var mu sync.Mutex
	t.Run("cases", func(t *testing.T) {
		for _, class := range corpusClasses {
			t.Run(class.name, func(t *testing.T) {
				t.Parallel()
				class.make(func(c vcase) {
					mu.Lock()
					name := class.name + "/" + c.name
					if seen[name] {
						t.Errorf("two cases are called %s", name)
					}
					seen[name] = true
					total++
					if c.stricter != "" {
						stricter++
						if !documented[c.stricter] {
							t.Errorf("%s: docs/signatures.md has no row %q", c.name, c.stricter)
						}
						delete(unusedRows, c.stricter)
					}
					mu.Unlock()
					if c.content == nil {
						c.content = script
					}
					compare(t, c)
				})
			})
		}
	})
	if total < minCorpus {
		t.Errorf("%d cases, want at least %d", total, minCorpus)
	}
	for row := range unusedRows {
		t.Errorf("no case shows row %q of docs/signatures.md", row)
	}
	t.Logf("%d cases, %d of them stricter on purpose", total, stricter)
}

// compare runs both on one case.
func compare(t *testing.T, c vcase) {
	t.Helper()
	ours := verdict(c)
	ref, said := reference(t, c)
	got := ReasonOf(ours)
	switch {
	case ours != nil && got == "":
		t.Errorf("%s: an error without reason: %v", c.name, ours)
	case got != c.want:
		t.Errorf("%s: got %q, want %q: %v (reference: %v %s)", c.name, got, c.want, ours, ref, said)
	case ours == nil && !ref:
		t.Errorf("%s: accepted, the reference rejects: %s", c.name, said)
	case ours != nil && ref && c.stricter == "":
		t.Errorf("%s: rejected, the reference accepts: %v", c.name, ours)
	case c.stricter != "" && !ref:
		t.Errorf("%s: called stricter, but the reference rejects it too: %s", c.name, said)
	}
}

// verdict is ours: nil for accepted.
func verdict(c vcase) error {
	k, err := ParseKeyring(c.keyring)
	if err != nil {
		return err
	}
	_, err = Verify(k, NewContent("autorun.sh", c.content), c.p7s, c.o)
	return err
}

// reference runs the command of the README, without the system's CA directory.
func reference(t testing.TB, c vcase) (bool, string) {
	t.Helper()
	dir := workDir(t)
	files := map[string][]byte{"keyring.pem": c.keyring, "content": c.content, "content.p7s": c.p7s}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return runReference(t, dir, c.o)
}

func runReference(t testing.TB, dir string, o Options) (bool, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	args := []string{"smime", "-verify", "-no_check_time", "-inform", "DER",
		"-CAfile", "keyring.pem", "-no-CApath", "-no-CAstore", "-content", "content", "-in", "content.p7s", "-out", os.DevNull}
	if o.Purpose != "" {
		args = append(args, "-purpose", string(o.Purpose))
	}
	if o.AllowPartialChain {
		args = append(args, "-partial_chain")
	}
	if o.CheckCRL { // the flags that rauc sets
		args = append(args, "-crl_check", "-crl_check_all", "-extended_crl")
	}
	cmd := exec.CommandContext(ctx, "openssl", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SSL_CERT_DIR=/nonexistent", "SSL_CERT_FILE=/nonexistent")
	out, err := cmd.CombinedOutput()
	if err == nil && !bytes.Contains(out, []byte("Verification successful")) {
		t.Fatalf("the reference says neither yes nor no: %s", out)
	}
	return err == nil, strings.TrimSpace(string(out))
}

var dirs sync.Map

// workDir returns a directory for the reference's files, one for each test.
func workDir(t testing.TB) string {
	if d, ok := dirs.Load(t.Name()); ok {
		return d.(string)
	}
	d := t.TempDir()
	dirs.Store(t.Name(), d)
	t.Cleanup(func() { dirs.Delete(t.Name()) })
	return d
}

var unusedRows = map[string]bool{}

// stricterRows reads the table "stricter on purpose" of docs/signatures.md: its
// rows begin with | `word` |.
func stricterRows(t *testing.T) map[string]bool {
	doc, err := os.ReadFile("../docs/signatures.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, line := range strings.Split(string(doc), "\n") {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			word, _, _ := strings.Cut(rest, "`")
			if strings.HasPrefix(word, "s-") {
				rows[word] = true
				unusedRows[word] = true
			}
		}
	}
	if len(rows) == 0 {
		t.Fatal("docs/signatures.md has no table of stricter cases")
	}
	return rows
}
