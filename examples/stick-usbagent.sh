#!/bin/sh
# Makes the same stick with usbagent, which signs, copies, reads again, and
# checks with the board's own code before the stick leaves the desk.
# Usage: sh stick-usbagent.sh DIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"

# The keys come from openssl, as in stick-openssl.sh.
ca() {
	openssl req -x509 -newkey rsa:3072 -nodes -days 7300 -subj "/O=Example/CN=$1 CA" \
		-addext keyUsage=critical,keyCertSign,cRLSign -keyout "$2-ca.key" -out "$2-ca.pem" 2>/dev/null
}
signer() {
	openssl req -newkey rsa:3072 -nodes -subj "/O=Example/CN=$1 releases" -keyout "$2.key" -out "$2.csr" 2>/dev/null
	printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' >"$2.ext"
	openssl x509 -req -in "$2.csr" -CA "$3-ca.pem" -CAkey "$3-ca.key" -CAcreateserial -days 7300 -extfile "$2.ext" -out "$2.pem" 2>/dev/null
}
ca Vendor vendor
signer Vendor vendor-release vendor
ca My my
signer My release my

# 1. At the vendor's: my-ca.pem.p7s.
usbagent sign --key vendor-release.key --cert vendor-release.pem --keyring vendor-ca.pem my-ca.pem

# 2. At your desk: the stick. With an image: --image firmware.image
usbagent stick --keyring vendor-ca.pem --new-keyring my-ca.pem --script "$here/autorun.sh" \
	--key release.key --cert release.pem stick
ls stick
