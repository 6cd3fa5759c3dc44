// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import "bytes"

// Confusions tells what an older board, one whose shell scripts look at the
// signature only, could be made to do with content once it is signed: take a
// signed script for a keyring, or a bundle for a script, when somebody renames
// the file. usbagent itself refuses each of these. The sentences are for the one
// who signs; nil means there is nothing to say.
func Confusions(content []byte) []string {
	var list []string
	if k, err := parseKeyring(content); err == nil && len(k.certs) > 0 && hasCommands(content) {
		list = append(list, "this file has a certificate in it (-----BEGIN CERTIFICATE----- at the beginning of a line) and lines that a shell runs: "+
			"an older board would take it for a keyring as well as for a script; in a script, indent the certificate or keep it in base64")
	}
	if bytes.HasPrefix(content, []byte("hsqs")) {
		list = append(list, "this is a RAUC bundle or file system image, which carries its own signature: "+
			"with this one, an older board would try to run it as a script; sign it with rauc bundle")
	}
	if bytes.HasPrefix(content, []byte("[update]")) {
		list = append(list, "this is a RAUC manifest: with this signature, an older board would run its lines as a script")
	}
	return list
}

// hasCommands reports whether some line outside of PEM blocks is more than a
// comment or what openssl writes around certificates.
func hasCommands(content []byte) bool {
	if bytes.HasPrefix(content, []byte("#!")) {
		return true
	}
	block := false
	for line := range bytes.SplitSeq(content, []byte("\n")) {
		line = bytes.TrimSpace(line)
		switch {
		case bytes.HasPrefix(line, []byte(pemBegin)):
			block = true
		case bytes.HasPrefix(line, []byte(pemEnd)):
			block = false
		case block || bytes.HasPrefix(line, []byte("#")):
		case bytes.ContainsAny(line, "$`;&|"), bytes.Contains(line, []byte("<<")), bytes.HasPrefix(line, []byte("exit")), bytes.HasPrefix(line, []byte("cat ")):
			return true
		}
	}
	return false
}
