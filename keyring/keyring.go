// SPDX-License-Identifier: GPL-3.0-or-later

// Package keyring guards the trust of the board: Check decides whether bytes
// from a stick may become the keyring, and Store replaces the installed one
// so that no instant is without a whole keyring. Most callers need those two.
//
// # Threat model
//
// Whoever can replace the keyring owns the board, and whoever can destroy it
// has locked its owner out, since nothing from a stick would verify again. So:
//
//   - The new content must be signed under the installed keyring. That is the
//     caller's part; Store.Install takes a signature.Verified, which only
//     package signature makes.
//   - A signature on one thing must not count for another: a signed script with
//     a certificate in a here-document is no keyring (see CheckText for what a
//     keyring may hold).
//   - A keyring that could never verify anything is refused (Rules.RequireAnchor).
//   - The file is replaced, never written into, and at each system call of the
//     replacement a power cut leaves the whole old or the whole new one. The
//     one before, and the first ever, are kept beside it.
//   - A keyring in a place that a local user can change is no trust: refused.
//
// Whether a certificate of the keyring vouches for a file is decided by
// package signature, and by nobody here.
package keyring

import (
	"errors"
	"fmt"

	"usbagent/signature"
)

// Rules are the settings a new keyring is checked under.
type Rules struct {
	Verify        signature.Options
	RequireAnchor bool // refuse a keyring that can end no chain under Verify
}

// Check decides whether content, of which nobody needs to have vouched yet,
// is a keyring that may be installed: PEM in which every block is whole, with
// at least one certificate; text around the blocks as CheckText demands; and,
// where r asks for it, at least one certificate that can end a chain. The error
// wraps a *signature.Error, ErrScript, ErrBlock or ErrText, and tells the line.
func Check(content []byte, r Rules) (*signature.Keyring, error) {
	k, err := keyringOf(content)
	if err != nil {
		return nil, fmt.Errorf("check keyring: %w", err)
	}
	if err := CheckText(content); err != nil {
		return nil, fmt.Errorf("check keyring: %w", err)
	}
	if r.RequireAnchor {
		if err := k.CheckAnchor(r.Verify); err != nil {
			return nil, fmt.Errorf("check keyring: %w", err)
		}
	}
	return k, nil
}

// ErrRevocations is the error of Fresh where the offered keyring would take
// revocations back.
var ErrRevocations = errors.New("it has the certificates of the installed keyring, but its CRLs lack revocations which the installed ones have")

// Fresh decides whether offered differs from installed under r: by its
// certificates, or, where CRLs count, by more revocations. With the same
// certificates an older CRL is not fresh, so that a stick of yesterday revokes
// nothing less; one that both adds and takes back is ErrRevocations.
func Fresh(offered, installed *signature.Keyring, r Rules) (bool, error) {
	if installed == nil || !offered.Equal(installed) {
		return true, nil
	}
	if !r.Verify.CheckCRL {
		return false, nil
	}
	added, missing := offered.Revocations(installed)
	if added > 0 && missing > 0 {
		return false, fmt.Errorf("%w (%d of them; %d are new)", ErrRevocations, missing, added)
	}
	return added > 0, nil
}
