// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"strings"

	"usbagent/signature"
)

// keyringCommand is "usbagent keyring".
func keyringCommand() *command {
	return parent("keyring", "Show the certificates of a keyring, or bring the previous one back.", onBoard,
		new(KeyringShowCmd).command(), new(KeyringRestoreCmd).command())
}

// KeyringShowCmd is "usbagent keyring show".
type KeyringShowCmd struct {
	chainFlags
	JSON bool
	File string
}

func (c *KeyringShowCmd) command() *command {
	cmd := leaf("show [flags] [FILE]", "Show the certificates of a keyring and their fingerprints.", atDesk, c.Run)
	c.File = defaultKeyring
	operand(cmd, &c.File, "FILE", "the keyring, PEM (default "+defaultKeyring+")", 0)
	c.add(cmd)
	jsonFlag.toggle(cmd, &c.JSON)
	return cmd
}

// keyringView is what "keyring show --json" prints.
type keyringView struct {
	File         string                  `json:"file"`
	CanVerify    bool                    `json:"can_verify"`        // something can end a chain
	Message      string                  `json:"message,omitempty"` // why nothing can
	Certificates []signature.Certificate `json:"certificates"`
}

// Run shows the keyring. One that is none, or that could never verify
// anything, is a "no".
func (c *KeyringShowCmd) Run() error {
	options, err := c.options()
	if err != nil {
		return err
	}
	pem, err := readFile(c.File, signature.MaxKeyringSize)
	if err != nil {
		return err
	}
	keyring, err := signature.ParseKeyring(pem)
	if err != nil {
		return no{fmt.Errorf("%s: %w", c.File, err)}
	}
	view := keyringView{File: c.File, CanVerify: true, Certificates: keyring.Certificates()}
	if err := keyring.CheckAnchor(options); err != nil {
		view.CanVerify, view.Message = false, err.Error()
	}
	if c.JSON {
		err = printJSON(view)
	} else {
		_, err = fmt.Print(view.human())
	}
	if err == nil && !view.CanVerify {
		return no{}
	}
	return err
}

func (v keyringView) human() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d certificates\n", word(v.File), len(v.Certificates))
	for i, c := range v.Certificates {
		fmt.Fprintf(&b, "\n%d. %s\n", i+1, paint(bold, word(c.Subject)))
		rows := [][]string{
			{"SHA-256", c.Fingerprint.String()},
			{"issuer", word(c.Issuer)},
			{"serial", c.Serial},
			{"key", c.KeyType},
			{"role", role(c)},
		}
		if !c.NotAfter.IsZero() {
			rows = append(rows, []string{"dates", fmt.Sprintf("%s to %s (never checked)", c.NotBefore.Format("2006-01-02"), c.NotAfter.Format("2006-01-02"))})
		}
		if c.Unusable != "" {
			rows = append(rows, []string{"unusable", word(c.Unusable)})
		}
		writeTable(&b, rows, -1, nil)
	}
	if !v.CanVerify {
		fmt.Fprintf(&b, "\n%s: %s\n", paint(red, "This keyring could never verify anything"), plain(v.Message))
	}
	return b.String()
}

// role says what a certificate can be in a chain.
func role(c signature.Certificate) string {
	kind := "signer"
	if c.CA {
		kind = "CA"
	}
	if c.SelfSigned {
		return kind + ", self-signed: ends a chain"
	}
	return kind + ", not self-signed: ends a chain only with allow_partial_chain"
}
