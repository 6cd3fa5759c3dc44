// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"usbagent/autorun"
	"usbagent/config"
	"usbagent/signature"
)

// VerifyCmd is "usbagent verify".
type VerifyCmd struct {
	Keyring, Signature string
	chainFlags
	JSON bool
	File string
}

func (c *VerifyCmd) command() *command {
	cmd := leaf("verify --keyring FILE [flags] FILE", "Verify the detached signature of one file.", atDesk, c.Run)
	operand(cmd, &c.File, "FILE", "the signed file", 1)
	flag{"keyring", "", "FILE", "The trusted certificates, PEM."}.text(cmd, &c.Keyring)
	flag{"signature", "", "FILE", "The signature, DER (without: FILE.p7s)."}.text(cmd, &c.Signature)
	c.add(cmd)
	jsonFlag.toggle(cmd, &c.JSON)
	require(cmd, "keyring")
	return cmd
}

// chainFlags say what a chain of certificates must be, as [signature] in the
// configuration of a board does.
type chainFlags struct {
	CheckPurpose                string
	AllowPartialChain, CheckCRL bool
	Signers                     []string
}

func (f *chainFlags) add(cmd *command) {
	f.CheckPurpose = "smimesign"
	flag{"check-purpose", "", "PURPOSE", "What the certificates must be for: smimesign, codesign, any."}.choice(cmd, &f.CheckPurpose, "smimesign", "codesign", "any")
	flag{"allow-partial-chain", "", "", "Let the chain end in any certificate of the keyring."}.toggle(cmd, &f.AllowPartialChain)
	flag{"check-crl", "", "", "Honour the keyring's revocation lists."}.toggle(cmd, &f.CheckCRL)
	flag{"signer", "", "SHA256", "A certificate with this fingerprint must be in the chain (repeatable)."}.list(cmd, &f.Signers)
}

func (f chainFlags) options() (signature.Options, error) {
	o := signature.Options{
		Purpose: signature.Purpose(f.CheckPurpose), AllowPartialChain: f.AllowPartialChain, CheckCRL: f.CheckCRL,
	}
	for text := range strings.SplitSeq(strings.Join(f.Signers, ","), ",") {
		if len(f.Signers) == 0 {
			break
		}
		pin, err := signature.ParseFingerprint(text)
		if err != nil {
			return o, fmt.Errorf("--signer: %w", err)
		}
		o.Signers = append(o.Signers, pin)
	}
	return o, nil
}

// verdict is what "verify --json" prints.
type verdict struct {
	File      string                  `json:"file"`
	Signature string                  `json:"signature"`
	Verified  bool                    `json:"verified"`
	Reason    signature.Reason        `json:"reason,omitempty"`  // one stable word
	Message   string                  `json:"message,omitempty"` // for people
	Size      int64                   `json:"size"`
	SHA256    string                  `json:"sha256"`
	MD5       string                  `json:"md5"` // as in the list of executed scripts
	Signer    *signature.Certificate  `json:"signer,omitempty"`
	Chain     []signature.Certificate `json:"chain,omitempty"`
	Script    []string                `json:"script,omitempty"`       // what it says about itself, in words
	ScriptBad string                  `json:"script_error,omitempty"` // why boards refuse what it says
}

// Run verifies. That the file is not verified is a "no"; that a file cannot be
// read is not an answer.
func (c *VerifyCmd) Run() error {
	options, err := c.options()
	if err != nil {
		return err
	}
	if c.Signature == "" {
		c.Signature = c.File + ".p7s"
	}
	pem, err := readFile(c.Keyring, signature.MaxKeyringSize)
	if err != nil {
		return err
	}
	p7s, err := readFile(c.Signature, signature.MaxSize)
	if err != nil {
		return err
	}
	dropCode()
	data, err := readFile(c.File, config.MaxScriptSize)
	if err != nil {
		return err
	}
	content := signature.NewContent(filepath.Base(c.File), data)
	sha, md5 := content.SHA256(), content.MD5()
	v := verdict{
		File: c.File, Signature: c.Signature, Size: content.Size(),
		SHA256: hex.EncodeToString(sha[:]), MD5: hex.EncodeToString(md5[:]),
	}
	refusal := v.decide(pem, content, p7s, options)
	if c.JSON {
		if err := printJSON(v); err != nil {
			return err
		}
		if refusal != nil {
			return no{}
		}
		return nil
	}
	if refusal != nil {
		return no{refusal}
	}
	fmt.Print(v.human())
	return nil
}

// decide fills in the verdict, and returns why it is a "no".
func (v *verdict) decide(pem []byte, content *signature.Content, p7s []byte, o signature.Options) error {
	keyring, err := signature.ParseKeyring(pem)
	var verified *signature.Verified
	if err == nil {
		verified, err = signature.Verify(keyring, content, p7s, o)
	}
	if err != nil {
		v.Reason, v.Message = signature.ReasonOf(err), err.Error()
		return err
	}
	signer := verified.Signer()
	v.Verified, v.Signer, v.Chain = true, &signer, verified.Chain()
	if autorun.CheckScript(verified.Bytes()) == nil {
		said, wrong := autorun.ParseDirectives(verified.Bytes())
		if v.Script = said.Sentences(); wrong != nil {
			v.ScriptBad = wrong.Error()
		}
	}
	return nil
}

func (v *verdict) human() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", word(v.File), paint(green, "the signature is good"))
	rows := [][]string{
		{"signer", v.Signer.Subject},
		{"", "SHA-256 " + v.Signer.Fingerprint.String()},
	}
	for i, c := range v.Chain[min(1, len(v.Chain)):] {
		name := ""
		if i == 0 {
			name = "issuer"
		}
		rows = append(rows, []string{name, c.Subject}, []string{"", "SHA-256 " + c.Fingerprint.String()})
	}
	rows = append(rows, []string{"file", fmt.Sprintf("%d bytes", v.Size)},
		[]string{"", "SHA-256 " + v.SHA256}, []string{"", "MD5 " + v.MD5})
	writeTable(&b, rows, -1, nil)
	b.WriteString(saying(v.Script))
	if v.ScriptBad != "" {
		fmt.Fprintf(&b, "\nAs a script boards refuse it: %s\n", paint(red, word(v.ScriptBad)))
	}
	return b.String()
}

// readFile reads the file at path, at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than any board takes (%d)", path, info.Size(), limit)
	}
	return os.ReadFile(path)
}
