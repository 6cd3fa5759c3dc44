// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// NotScript is the error of [CheckScript].
type NotScript struct {
	// Reason is a short stable word: "binary", "nul" or "pem".
	Reason string

	// Kind names what it is instead, for Reason "binary" and "pem".
	Kind string
}

func (e *NotScript) Error() string {
	if e.Reason == "nul" {
		return "it is no script: its first line holds a NUL byte"
	}
	return fmt.Sprintf("it is no script but %s", e.Kind)
}

// magics are the beginnings of files that a signature may well be genuine for
// and that a shell must not be given: dash executes whatever lines it finds in
// them. From file(1)'s magic data and the formats' own specifications. Text
// that follows an executable header inside a shell script (makeself) is none
// of these, since such a file begins as a script.
var magics = []struct{ begin, kind string }{
	{"\x7fELF", "an ELF program"},
	{"\x1f\x8b", "gzip data"},
	{"\x1f\x9d", "compress data"},
	{"\xfd7zXZ\x00", "xz data"},
	{"\x5d\x00\x00", "lzma data"},
	{"\x28\xb5\x2f\xfd", "zstd data"},
	{"\x04\x22\x4d\x18", "lz4 data"},
	{"\x89LZO\x00", "lzop data"},
	{"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"},
	{"Rar!\x1a\x07", "a RAR archive"},
	{"PK\x03\x04", "a zip archive"},
	{"PK\x05\x06", "a zip archive"},
	{"PK\x07\x08", "a zip archive"},
	{"hsqs", "a squashfs image (or a RAUC bundle)"},
	{"sqsh", "a squashfs image"},
	{"070701", "a cpio archive"},
	{"070702", "a cpio archive"},
	{"!<arch>\n", "an ar archive or Debian package"},
	{"\xed\xab\xee\xdb", "an RPM package"},
	{"\xca\xfe\xba\xbe", "a Java class or Mach-O program"},
	{"\xcf\xfa\xed\xfe", "a Mach-O program"},
	{"\xce\xfa\xed\xfe", "a Mach-O program"},
	{"\x00asm", "a WebAssembly program"},
	{"\x27\x05\x19\x56", "a U-Boot image"},
	{"\xd0\x0d\xfe\xed", "a device tree or FIT image"},
	{"UBI#", "a UBI image"},
	{"\x3a\xff\x26\xed", "an Android sparse image"},
	{"SQLite format 3\x00", "a SQLite database"},
	{"%PDF-", "a PDF document"},
	{"\x89PNG\r\n", "a PNG picture"},
	{"\xff\xd8\xff", "a JPEG picture"},
	{"\xff\xfe", "UTF-16 text"},
	{"\xfe\xff", "UTF-16 text"},
}

// byteOrderMark is what Windows editors put before UTF-8 text.
var byteOrderMark = []byte("\xef\xbb\xbf")

// CheckScript returns nil when b may be given to a shell, and a *[NotScript]
// when b is something else that happens to have a genuine signature: a known
// binary format, a file with a NUL byte in its first line, or PEM
// (certificates, keys, a keyring), also below comments or the text that openssl
// writes above certificates. It does not look for `#!`, which is not
// needed to be run by /bin/sh, nor beyond the beginning, so that
// self-extracting scripts with binary payload pass, and scripts with a
// certificate in a here-document.
func CheckScript(b []byte) error {
	if kind := binaryKind(b); kind != "" {
		return &NotScript{Reason: "binary", Kind: kind}
	}
	if isPEM(bytes.TrimPrefix(b, byteOrderMark)) {
		return &NotScript{Reason: "pem", Kind: "PEM (a certificate, key or keyring)"}
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	if bytes.IndexByte(first, 0) >= 0 {
		return &NotScript{Reason: "nul"}
	}
	return nil
}

// pemText are lines with which openssl (x509 -text, crl -text, pkcs12,
// s_client -showcerts) begins what stands above a PEM block, and no script begins.
var pemText = []string{
	"Certificate:",
	"Certificate Revocation List (CRL):",
	"Certificate chain",
	"Server certificate",
	"Bag Attributes",
	"Key Attributes",
	"Trusted Uses:",
	"Rejected Uses:",
}

// isPEM reports whether the first line of b that is neither blank nor a comment
// begins a PEM block, or is one of pemText. A file that begins with "#!" says itself
// what it is.
func isPEM(b []byte) bool {
	if bytes.HasPrefix(b, []byte("#!")) {
		return false
	}
	b = skipComments(b)
	if bytes.HasPrefix(b, []byte("-----BEGIN")) {
		return true
	}
	for _, text := range pemText {
		if rest, ok := bytes.CutPrefix(b, []byte(text)); ok {
			line, _, _ := bytes.Cut(rest, []byte("\n"))
			return len(bytes.TrimLeft(line, " \t\r\v\f")) == 0
		}
	}
	return false
}

// skipComments returns text from the first character on that is no white space and
// in no comment. It passes once over what may be 64 MB of them.
func skipComments(text []byte) []byte {
	comment := false
	for i, c := range text {
		switch {
		case c == '\n':
			comment = false
		case comment, c == ' ', c == '\t', c == '\r', c == '\v', c == '\f':
		case c == '#':
			comment = true
		default:
			return text[i:]
		}
	}
	return nil
}

// binaryKind names the binary format that b begins as, or returns "".
func binaryKind(b []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(b, []byte(m.begin)) {
			return m.kind
		}
	}
	switch {
	case isDER(b):
		return "DER (a certificate, key or signature)"
	case isPE(b):
		return "a Windows program"
	case len(b) > 9 && string(b[:3]) == "BZh" && (string(b[4:10]) == "\x31\x41\x59\x26\x53\x59" || string(b[4:10]) == "\x17\x72\x45\x38\x50\x90"):
		return "bzip2 data"
	case len(b) > 262 && string(b[257:262]) == "ustar":
		return "a tar archive"
	}
	return ""
}

// isDER reports whether b begins as an ASN.1 SEQUENCE (X.690 8.1.3): with a
// long or indefinite length, which no text has, or with a short one that fits
// the whole of b and is followed by a tag that is no printable character.
func isDER(b []byte) bool {
	if len(b) < 3 || b[0] != 0x30 {
		return false
	}
	if b[1] >= 0x80 {
		return b[1] <= 0x88
	}
	tag := b[2]
	if tag == 0x30 && len(b) > 3 { // a SEQUENCE again: its own length follows
		tag = b[3]
	}
	return len(b) == 2+int(b[1]) && tag < ' ' && tag != '\t' && tag != '\n' && tag != '\r'
}

// isPE reports whether b is an MZ executable. Two letters alone are not
// enough: `MZ=1` is a line of shell. The offset of the PE header is at 0x3c.
func isPE(b []byte) bool {
	if len(b) < 3 || b[0] != 'M' || b[1] != 'Z' {
		return false
	}
	if b[2] < '\t' || b[2] > '~' {
		return true
	}
	if len(b) < 0x40 {
		return false
	}
	at := uint64(binary.LittleEndian.Uint32(b[0x3c:]))
	return at+4 <= uint64(len(b)) && string(b[at:at+4]) == "PE\x00\x00"
}
