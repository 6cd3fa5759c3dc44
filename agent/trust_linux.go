// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"slices"
	"time"

	"usbagent/internal/logs"
	"usbagent/ledger"
	"usbagent/signature"
)

// mendKeyring brings a keyring back that an earlier tool left missing or empty.
func (a *Agent) mendKeyring() {
	change, err := a.store.Repair()
	if err != nil {
		a.Log.Error("the installed keyring cannot be mended; nothing can be verified", logs.String("path", a.Config.Keyring.Path), logs.Error(err))
		return
	}
	if !change.Changed {
		return
	}
	a.Log.Warn("the installed keyring was missing or empty and was brought back", logs.String("path", a.Config.Keyring.Path), logs.String("from", change.From))
	a.record(a.Ledger.KeyringChanged(ledger.Keyring{Time: time.Now(), Action: "repair",
		Before: texts(change.Before), After: texts(change.After)}))
}

// compareKeyring reports an installed keyring that is not the one recorded
// last: the other slot's, another image's, or exchanged by hand. It changes nothing.
func (a *Agent) compareKeyring() {
	last, ok := a.Ledger.LastKeyring()
	if !ok {
		return
	}
	installed, err := a.store.Installed()
	if err != nil {
		a.Log.Warn("the installed keyring cannot be used", logs.String("path", a.Config.Keyring.Path), logs.Error(err))
		return
	}
	var now []string
	for _, c := range installed.Certificates() {
		now = append(now, c.Fingerprint.String())
	}
	if !sameSet(now, last.After) {
		a.Log.Warn("the installed keyring differs from the one recorded last (other slot, other image, or changed by hand)",
			logs.Strings("installed", now), logs.Strings("recorded", last.After))
	}
}

func sameSet(a, b []string) bool {
	a, b = slices.Compact(slices.Sorted(slices.Values(a))), slices.Compact(slices.Sorted(slices.Values(b)))
	return slices.Equal(a, b)
}

func texts(list []signature.Fingerprint) []string {
	out := make([]string, len(list))
	for i, f := range list {
		out[i] = f.String()
	}
	return out
}
