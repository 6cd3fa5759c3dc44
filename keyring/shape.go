// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import "strings"

// The shapes of lines that CheckText lets through. The test has each as a
// regular expression, and compares; the program has none, since package regexp
// would be a thirtieth of it.

// Sets of characters.
const (
	digits   = "0123456789"
	hexUpper = digits + "ABCDEF"
	hexLower = digits + "abcdef"
	hexBoth  = hexUpper + "abcdef"
	upper    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	letters  = upper + "abcdefghijklmnopqrstuvwxyz"
	wordSet  = letters + digits + "-"
	nameSet  = wordSet + "."
	labelSet = letters + digits + " .,/()_'-"
	useSet   = letters + digits + " /.,-"
	dateSet  = letters + digits + ": ,-"
	space    = " \t\r\n\f"
)

// only reports whether text has characters of the set and no others; an empty
// text has none.
func only(text, set string) bool { return text != "" && strings.Trim(text, set) == "" }

// number reports whether text is a decimal number of at most so many digits.
func number(text string, most int) bool { return len(text) <= most && only(text, digits) }

// isMarker: how usbagent marks a script's own settings, "# usbagent:".
func isMarker(line string) bool {
	rest, comment := strings.CutPrefix(line, "#")
	word, _, colon := strings.Cut(rest, ":")
	return comment && colon && strings.EqualFold(strings.Trim(word, space), "usbagent")
}

// isLabel: "Label:", "Label: text".
func isLabel(line string) bool {
	word, text, colon := strings.Cut(line, ":")
	return colon && only(word, labelSet) && only(word[:1], letters+digits+"(") && (text == "" || text[0] == ' ')
}

// isName: "name = text", with or without the blanks.
func isName(line string) bool {
	word, _, equals := strings.Cut(line, "=")
	return equals && only(strings.TrimRight(word, " "), nameSet)
}

// isBytes: pairs of hex digits with one of these characters between them.
func isBytes(line, between string) bool {
	for len(line) > 2 {
		if !only(line[:2], hexBoth) || !strings.Contains(between, line[2:3]) {
			return false
		}
		line = line[3:]
	}
	return len(line) == 2 && only(line, hexBoth)
}

// isBytesOfDump: bytes in a dump, the last with a colon where the next line
// goes on.
func isBytesOfDump(line string) bool { return isBytes(strings.TrimSuffix(line, ":"), ": ") }

// isPhrase: what stands in a dump without a label.
func isPhrase(line string) bool {
	switch line {
	case "Validity", "Unable to load Public Key", "No PSS parameter restrictions", "No Revoked Certificates.", "<EMPTY>", "INVALID PSS PARAMETERS":
		return true
	}
	rest, ok := strings.CutPrefix(line, "Version ")
	version, hex, ok2 := strings.Cut(rest, " (0x")
	hex, ok3 := strings.CutSuffix(hex, ")")
	return ok && ok2 && ok3 && only(version, digits) && only(hex, hexLower)
}

// isUse: a purpose that a certificate is trusted for.
func isUse(line string) bool { return only(line, useSet) && only(line[:1], upper+digits) }

// isFailure: what a dump has where openssl could not print something.
func isFailure(line string) bool {
	code, rest, ok := strings.Cut(line, ":")
	return ok && only(code, hexUpper) && strings.HasPrefix(rest, "error:")
}

// isChain: of s_client's chain, " 0 s:", "   i:".
func isChain(line string) bool {
	depth, rest, _ := strings.Cut(strings.TrimPrefix(line, " "), " ")
	if number(depth, 3) && strings.HasPrefix(rest, "s:") {
		return true
	}
	bare := strings.TrimLeft(line, " ")
	indent := len(line) - len(bare)
	return indent >= 2 && indent <= 4 && len(bare) >= 2 && only(bare[:1], "iav") && bare[1] == ':'
}

// isSingle: a line that stands alone.
func isSingle(line string) bool {
	switch line {
	case "Certificate chain", "Server certificate", "---", "No Trusted Uses.", "No Rejected Uses.", "<No Alias>",
		"Bag Attributes: <No Attributes>", "Bag Attributes: <Empty Attributes>",
		"Key Attributes: <No Attributes>", "Key Attributes: <Empty Attributes>":
		return true
	}
	if strings.HasPrefix(line, "Alias: ") {
		return true
	}
	if key, value, ok := strings.Cut(line, "="); ok {
		return isSingleValue(key, value)
	}
	if key, value, ok := strings.Cut(line, ": "); ok {
		switch key {
		case "Key Id":
			return only(value, hexUpper+":")
		case "Total found":
			return number(value, 4)
		}
		return number(key, 4) && (value == "Certificate" || value == "CRL")
	}
	return isHash(line)
}

// isSingleValue: what openssl x509 and crl print as key=value.
func isSingleValue(key, value string) bool {
	switch key {
	case "subject", "issuer":
		name := strings.TrimPrefix(value, " ") // in one of openssl's styles
		word, _, equals := strings.Cut(name, "=")
		return value == "<EMPTY>" || strings.HasPrefix(name, "/") || equals && only(strings.TrimSuffix(word, " "), nameSet)
	case "notBefore", "notAfter", "lastUpdate", "nextUpdate":
		return only(value, dateSet)
	case "serial", "crlNumber":
		return only(strings.TrimPrefix(strings.TrimPrefix(value, "-"), "0x"), hexBoth)
	case "Modulus":
		return only(value, hexUpper)
	case "issuer name hash", "subject name hash":
		return isHash(value)
	}
	digest, ok := strings.CutSuffix(key, " Fingerprint")
	return ok && only(digest, wordSet) && isBytes(value, ":")
}

// isHash: the hash of a name.
func isHash(text string) bool { return len(text) == 8 && only(text, hexLower) }
