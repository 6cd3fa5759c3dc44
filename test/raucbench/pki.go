// SPDX-License-Identifier: GPL-3.0-or-later

package raucbench

import "usbagent/test/pki"

// PKI signs bundles and sticks.
type PKI = pki.PKI

// NewPKI makes a PKI in dir; name becomes part of the subjects.
func NewPKI(dir, name string) (*PKI, error) { return pki.New(dir, name) }
