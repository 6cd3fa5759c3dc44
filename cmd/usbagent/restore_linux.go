// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"usbagent/config"
	"usbagent/keyring"
	"usbagent/ledger"
	"usbagent/signature"
)

// restoreKeyring brings the kept previous keyring back, else the factory's, and
// takes it down in the state directory.
func restoreKeyring(path string) error {
	settings, problems := config.Load(path)
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, plain(p.String()))
	}
	change, err := keyring.Open(settings.Keyring.Path).Restore()
	if err != nil {
		return err
	}
	if !change.Changed {
		fmt.Printf("%s has these certificates already, nothing is changed\n", settings.Keyring.Path)
		return nil
	}
	fmt.Printf("%s: brought back from %s\n", word(settings.Keyring.Path), word(change.From))
	before, after := texts(change.Before), texts(change.After)
	fmt.Printf("  before  %s\n  now     %s\n", strings.Join(before, "\n          "), strings.Join(after, "\n          "))
	if err := record(settings, ledger.Keyring{Time: time.Now(), Action: "restore", Before: before, After: after}); err != nil {
		fmt.Fprintf(os.Stderr, "usbagent keyring restore: done, but not taken down: %s\n", plain(err.Error()))
	}
	return nil
}

// record adds a change of the keyring to the state directory.
func record(c config.Config, k ledger.Keyring) error {
	l, err := ledger.Open(stateDirectory(c.State.Dir), bootID())
	if err != nil {
		return err
	}
	return l.KeyringChanged(k)
}

func texts(list []signature.Fingerprint) []string {
	out := make([]string, len(list))
	for i, f := range list {
		out[i] = f.String()
	}
	return out
}
