#!/bin/sh
# Makes a stick that swaps the keyring of a board and runs autorun.sh, with
# openssl alone. Usage: sh stick-openssl.sh DIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/stick"
cd "$1"

# A CA is a self-signed certificate; a signer is what it vouches for. There is
# no extended key usage in either, which suits RAUC and scripts alike.
ca() {
	openssl req -x509 -newkey rsa:3072 -nodes -days 7300 -subj "/O=Example/CN=$1 CA" \
		-addext keyUsage=critical,keyCertSign,cRLSign -keyout "$2-ca.key" -out "$2-ca.pem" 2>/dev/null
}
signer() {
	openssl req -newkey rsa:3072 -nodes -subj "/O=Example/CN=$1 releases" -keyout "$2.key" -out "$2.csr" 2>/dev/null
	printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' >"$2.ext"
	openssl x509 -req -in "$2.csr" -CA "$3-ca.pem" -CAkey "$3-ca.key" -CAcreateserial -days 7300 -extfile "$2.ext" -out "$2.pem" 2>/dev/null
}
sign() { # FILE SIGNER: writes FILE.p7s; -binary, or a board refuses it
	openssl smime -sign -outform DER -binary -inkey "$2.key" -signer "$2.pem" -in "$1" -out "$1.p7s"
}

# 1. The vendor, whose CA the board trusts as it comes from the factory.
ca Vendor vendor
signer Vendor vendor-release vendor

# 2. You: a CA, and a signer for releases.
ca My my
signer My release my

# 3. The vendor signs your CA certificate, byte for byte as it is.
cp my-ca.pem stick/fwupdate-keyring.pem
sign stick/fwupdate-keyring.pem vendor-release

# 4. You sign the script: on this stick it is judged by the new keyring.
cp "$here/autorun.sh" stick/autorun.sh
sign stick/autorun.sh release

# 5. What a board asks. (It trusts the keyring alone, so neither does this look
# into the CA directory of the system.)
for pair in "stick/fwupdate-keyring.pem vendor-ca.pem" "stick/autorun.sh my-ca.pem"; do
	set -- $pair
	openssl smime -verify -no_check_time -no-CApath -no-CAstore -inform DER -CAfile "$2" -content "$1" -in "$1.p7s" -out /dev/null
done
ls stick
