// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"usbagent/signature"
)

// revoking is the CA's certificate with a CRL of these serial numbers.
func (a *authority) revoking(t *testing.T, number int64, serials ...int64) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Unix(number, 0), NextUpdate: time.Unix(number+1, 0)}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: time.Unix(0, 0)})
	}
	issuer := *a.cert
	issuer.KeyUsage |= x509.KeyUsageCRLSign
	issuer.SubjectKeyId = []byte{1} // demanded, and put into the CRL
	der, err := x509.CreateRevocationList(rand.Reader, list, &issuer, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(a.pem, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// TestFresh: with the same certificates, new revocations make a keyring a new
// one where CRLs count, and no stick takes revocations back.
func TestFresh(t *testing.T) {
	a, b := newAuthority(t, "Alice"), newAuthority(t, "Bob")
	none, one, two := a.pem, a.revoking(t, 1, 7), a.revoking(t, 2, 7, 8)
	other, empty := a.revoking(t, 3, 8), a.revoking(t, 4)
	for _, c := range []struct {
		name               string
		offered, installed []byte
		fresh              bool // where CRLs count
		err                error
	}{
		{"the same", one, one, false, nil},
		{"a first CRL", empty, none, true, nil},
		{"one more revoked", two, one, true, nil},
		{"yesterday's", one, two, false, nil},
		{"without the CRL", none, one, false, nil},
		{"another and one less", other, one, false, ErrRevocations},
		{"another CA", b.pem, two, true, nil},
	} {
		offered, installed := parse(c.offered), parse(c.installed)
		got, err := Fresh(offered, installed, Rules{Verify: signature.Options{CheckCRL: true}})
		if got != c.fresh || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, got, err, c.fresh, c.err)
		}
		got, err = Fresh(offered, installed, Rules{})
		if err != nil || got != (c.name == "another CA") {
			t.Errorf("%s, CRLs not counted: %v, %v", c.name, got, err)
		}
	}
}

// TestInstallMoreRevocations: the file that reads back is the new one.
func TestInstallMoreRevocations(t *testing.T) {
	board, a := newBoard(t), newAuthority(t, "Alice")
	one, two := a.revoking(t, 1, 7), a.revoking(t, 2, 7, 8)
	if _, err := board.install(board.vendor, one); err != nil {
		t.Fatal(err)
	}
	if c, err := board.install(a, two); err != nil || !c.Changed || !slices.Equal(c.Before, c.After) {
		t.Fatalf("%+v, %v", c, err)
	}
	board.expect(string(two), string(one), vendorLink)
	if c, err := board.install(a, two); err != nil || c.Changed {
		t.Errorf("the same again: %+v, %v", c, err)
	}
}
