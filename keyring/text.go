// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Why text is refused; CheckText's error wraps one of them.
var (
	ErrScript = errors.New("this is a script, not a keyring")
	ErrBlock  = errors.New("a keyring has certificates and CRLs only")
	ErrText   = errors.New("this is neither a comment nor text that openssl writes around certificates")
)

// blocks are the PEM blocks that a keyring may hold.
var blocks = map[string]bool{
	"CERTIFICATE":         true,
	"X509 CERTIFICATE":    true, // as early OpenSSL wrote it
	"TRUSTED CERTIFICATE": true, // openssl x509 -trustout
	"X509 CRL":            true,
}

// CheckText decides whether content, PEM that signature.ParseKeyring accepts,
// has only such lines as a keyring has and a script has not. Lines end with a
// newline; white space at their end (CRLF) does not count, nor does a byte
// order mark at the beginning of the file or of a line after a block.
//
// A line is good when it is one of these:
//
//   - empty, or a comment that begins with "#", but not with "#!" and not with
//     "# usbagent:";
//   - a BEGIN or END line of a certificate or CRL, and base64 between them;
//   - of a dump (openssl x509 -text, crl -text, ca): "Certificate:" or
//     "Certificate Revocation List (CRL):" at the beginning of a line, and below
//     it, until the next line that is not indented, lines indented by spaces:
//     "Label:", "Label: text", "name = text", bytes in hex, some fixed phrases,
//     and anything at 16 spaces or more, which is where the values of
//     extensions stand;
//   - of bag attributes (openssl pkcs12, Java): "Bag Attributes" or "Key
//     Attributes", and below it indented "name: text";
//   - subject=, issuer= and the other single lines that openssl x509 and crl
//     print (-dates, -serial, -fingerprint, -hash …); below an empty subject= or
//     issuer= indented "name = text" (-nameopt multiline);
//   - of a certificate chain (openssl s_client -showcerts): " 0 s:", "   i:",
//     "   a:", "   v:", "Certificate chain", "Server certificate", "---";
//   - of openssl storeutl: "0: Certificate", "Total found: 1";
//   - of openssl x509 -trustout: "Trusted Uses:" and its like.
//
// None of them has control characters but tabs, and none but a comment has
// five dashes in a row or what a shell would replace by the output of a
// command ("$(", a backquote).
func CheckText(content []byte) error {
	var s scanner
	for i, line := range bytes.Split(content, []byte("\n")) {
		if err := s.line(i, string(line)); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}

// scanner knows what the lines above say about the next one.
type scanner struct {
	block   bool // within a PEM block
	after   bool // nothing but a block, or the beginning, is directly above
	section section
}

// section is what a line that is not indented began.
type section int

const (
	none  section = iota
	dump          // of a certificate or CRL
	bag           // attributes of PKCS#12
	name          // a distinguished name of several lines
	trust         // uses that TRUSTED CERTIFICATE is for
)

const byteOrderMark = "\xef\xbb\xbf"

// line takes the next line, the i-th from 0.
func (s *scanner) line(i int, line string) error {
	if s.after || i == 0 {
		line = strings.TrimPrefix(line, byteOrderMark)
	}
	line = strings.TrimRight(line, " \t\r\v\f")
	s.after = false
	if s.block {
		return s.inBlock(line)
	}
	if title, ok := blockTitle(line); ok {
		if !blocks[title] {
			return fmt.Errorf("-----BEGIN %s: %w", shown(title), ErrBlock)
		}
		s.block, s.section = true, none
		return nil
	}
	return s.text(line)
}

// inBlock takes a line of a block. signature.ParseKeyring has decoded it; here
// it only matters that both see its end in the same place, so nothing that
// could be an END line elsewhere in a line is let through.
func (s *scanner) inBlock(line string) error {
	if strings.HasPrefix(line, "-----END ") {
		s.block, s.after = false, true
		return nil
	}
	if strings.Trim(line, base64Characters) != "" {
		return fmt.Errorf("%s within a block: %w", shown(line), ErrText)
	}
	return nil
}

const base64Characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\r"

// pemLine is how much of a line OpenSSL's PEM reader takes at once: it could
// see a BEGIN line in the middle of a longer one.
const pemLine = 254

// blockTitle returns the title of a BEGIN line.
func blockTitle(line string) (string, bool) {
	rest, ok := strings.CutPrefix(line, "-----BEGIN ")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "-----")
}

// text takes a line outside the blocks.
func (s *scanner) text(line string) error {
	bare := strings.TrimLeft(line, " \t")
	switch {
	case strings.HasPrefix(bare, "#!"), isMarker(bare):
		return fmt.Errorf("%s: %w", shown(line), ErrScript)
	case strings.ContainsFunc(line, isControl):
		return fmt.Errorf("%s has control characters: %w", shown(line), ErrText)
	case strings.HasPrefix(bare, "#") && len(line) < pemLine:
		return nil
	case strings.Contains(line, "-----"):
		return fmt.Errorf("%s is no whole BEGIN or END line: %w", shown(line), ErrText)
	case strings.HasPrefix(bare, "#"):
		return nil
	case strings.Contains(line, "$("), strings.Contains(line, "`"):
		return fmt.Errorf("%s: %w", shown(line), ErrText)
	case bare == "":
		return nil
	}
	indent := len(line) - len(strings.TrimLeft(line, " "))
	if indent == 0 {
		if isFailure(line) {
			return nil // within a dump
		}
		s.section = sectionOf(line)
		if s.section != none || isSingle(line) {
			return nil
		}
	} else if s.below(indent, bare) || isChain(line) {
		return nil
	}
	return fmt.Errorf("%s: %w", shown(line), ErrText)
}

// sectionOf tells what an unindented line begins.
func sectionOf(line string) section {
	switch line {
	case "Certificate:", "Certificate Revocation List (CRL):":
		return dump
	case "Revoked Certificates:", "No Revoked Certificates.": // part of a CRL's dump
		return dump
	case "Bag Attributes", "Key Attributes":
		return bag
	case "subject=", "issuer=", "subject:", "issuer:":
		return name
	case "Trusted Uses:", "Rejected Uses:":
		return trust
	}
	return none
}

// deep is the indentation at which openssl prints the values of extensions.
const deep = 16

// below tells whether an indented line belongs to the section above it.
func (s *scanner) below(indent int, line string) bool {
	switch s.section {
	case dump:
		return indent >= deep || isLabel(line) || isName(line) ||
			isBytesOfDump(line) || isPhrase(line)
	case bag:
		return isLabel(line) || isBytesOfDump(line)
	case name:
		return isName(line)
	case trust:
		return isUse(line)
	}
	return false
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// shown is a line of a hostile file as it may stand in a message.
func shown(line string) string {
	const most = 60
	if len(line) > most {
		return strconv.QuoteToASCII(strings.ToValidUTF8(line[:most], "")) + "…"
	}
	return strconv.QuoteToASCII(line)
}
