// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"usbagent/autorun"
	"usbagent/config"
	"usbagent/internal/durable"
	"usbagent/signature"
)

// passphraseVariable holds the passphrase of an encrypted key, for CI.
const passphraseVariable = "USBAGENT_KEY_PASSPHRASE"

// maxPassphrase bounds a passphrase file in bytes; OpenSSL takes 1023.
const maxPassphrase = 1024

// SignCmd is "usbagent sign". A passphrase is never an argument: others on the
// machine could read it there.
type SignCmd struct {
	Key, Cert, Chain, Out, PassphraseFile, Keyring string
	chainFlags
	wishes
	File string
}

func (c *SignCmd) command() *command {
	cmd := leaf("sign --key FILE --cert FILE [flags] FILE", "Sign one file: write FILE.p7s, and into a script what it says about itself.", atDesk, c.Run)
	operand(cmd, &c.File, "FILE", "the file to sign", 1)
	flag{"key", "", "FILE", "The private key, PEM or DER; if encrypted, the passphrase comes from --passphrase-file, from the variable " +
		passphraseVariable + ", or is asked for."}.text(cmd, &c.Key)
	flag{"cert", "", "FILE", "The signer's certificate, PEM or DER."}.text(cmd, &c.Cert)
	flag{"chain", "", "FILE", "Further certificates to put into the signature, PEM."}.text(cmd, &c.Chain)
	flag{"out", "o", "FILE", "Where the signature goes (without: FILE.p7s)."}.text(cmd, &c.Out)
	flag{"passphrase-file", "", "FILE", "The passphrase is the first line of this file."}.text(cmd, &c.PassphraseFile)
	flag{"keyring", "", "FILE", "The board's keyring: write nothing that it would not accept."}.text(cmd, &c.Keyring)
	c.chainFlags.add(cmd)
	c.wishes.add(cmd)
	require(cmd, "key", "cert")
	return cmd
}

// Run signs. A signature that no board would accept is not written and is a
// "no"; what cannot be read is no answer.
func (c *SignCmd) Run() error {
	o, err := c.read()
	if err != nil {
		return err
	}
	content, err := readFile(c.File, config.MaxScriptSize)
	if err != nil {
		return err
	}
	content, edits, err := c.write(c.File, content)
	if err != nil {
		return err
	}
	said, wrong := autorun.ParseDirectives(content)
	if wrong != nil && strings.EqualFold(filepath.Base(c.File), autorun.ScriptName) {
		return no{fmt.Errorf("%s: %w", c.File, wrong)}
	}
	p7s, err := signature.Sign(content, o)
	if err != nil {
		return no{fmt.Errorf("%s: %w", c.File, err)}
	}
	if err := c.rewrite(content, edits); err != nil {
		return err
	}
	if c.Out == "" {
		c.Out = c.File + ".p7s"
	}
	if err := durable.WriteFile(c.Out, p7s, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: written\n", word(c.Out))
	for _, text := range append(signature.Confusions(content), stale(c.File, said)...) {
		fmt.Fprintln(os.Stderr, "warning:", text)
	}
	return nil
}

// rewrite replaces the script, where there is something to change, by what is
// signed.
func (c *SignCmd) rewrite(content []byte, edits []autorun.Edit) error {
	if len(edits) == 0 {
		return nil
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return err
	}
	fmt.Print(difference(c.File, edits))
	return durable.WriteFile(c.File, content, info.Mode().Perm())
}

// read reads everything but the file to sign.
func (c *SignCmd) read() (o signature.SignOptions, err error) {
	if o.Verify, err = c.options(); err != nil {
		return o, err
	}
	key, err := readFile(c.Key, signature.MaxKeySize)
	if err != nil {
		return o, err
	}
	if o.Certificate, err = readFile(c.Cert, signature.MaxKeyringSize); err != nil {
		return o, err
	}
	if c.Chain != "" {
		if o.Chain, err = readFile(c.Chain, signature.MaxKeyringSize); err != nil {
			return o, err
		}
	}
	if c.Keyring != "" {
		pem, err := readFile(c.Keyring, signature.MaxKeyringSize)
		if err != nil {
			return o, err
		}
		if o.Keyring, err = signature.ParseKeyring(pem); err != nil {
			return o, fmt.Errorf("%s: %w", c.Keyring, err)
		}
	}
	if o.Key, err = signature.ParseSigningKey(key, c.passphrase); err != nil {
		return o, fmt.Errorf("%s: %w", c.Key, err)
	}
	return o, nil
}

// passphrase is asked for only where the key is encrypted.
func (c *SignCmd) passphrase() ([]byte, error) {
	if c.PassphraseFile != "" {
		text, err := readFile(c.PassphraseFile, maxPassphrase)
		line, _, _ := bytes.Cut(text, []byte("\n"))
		return bytes.TrimSuffix(line, []byte("\r")), err
	}
	if text, ok := os.LookupEnv(passphraseVariable); ok {
		return []byte(text), nil
	}
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return nil, errors.New("the key is encrypted and there is no terminal to ask for its passphrase: use --passphrase-file or " + passphraseVariable)
	}
	fmt.Fprintf(os.Stderr, "Passphrase of %s: ", word(filepath.Base(c.Key)))
	text, err := term.ReadPassword(stdin)
	fmt.Fprintln(os.Stderr)
	return text, err
}
