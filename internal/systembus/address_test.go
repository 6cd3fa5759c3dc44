// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"slices"
	"strings"
	"testing"
)

func TestSocketPath(t *testing.T) {
	for address, want := range map[string]string{
		"unix:path=/run/dbus/socket":       "/run/dbus/socket",
		"unix:guid=00,path=/tmp/a%20b%2cc": "/tmp/a b,c",
		"unix:abstract=/tmp/x":             "@/tmp/x",
		"tcp:host=localhost":               "",
		"unix:tmpdir=/tmp":                 "",
		"unix:path=%zz":                    "",
		"unix:path=/tmp/%4":                "",
		"unix:path=":                       "",
		"unix:path=/%41%e2%82%aC%25":       "/A\u20ac%",
		"":                                 "",
	} {
		if got, err := socketPath(address); got != want || (err == nil) != (want != "") {
			t.Errorf("socketPath(%q) = %q, %v; want %q", address, got, err, want)
		}
	}
}

// TestSockets: an address of several parts is one socket each, and an error for
// each that names none.
func TestSockets(t *testing.T) {
	paths, errs := Sockets("unix:path=/one;tcp:host=x,port=1;unix:abstract=two,guid=0123")
	if !slices.Equal(paths, []string{"/one", "@two"}) || len(errs) != 1 || errs[0].Error() != `bus address "tcp:host=x,port=1" is no unix: address` {
		t.Errorf("%q, %v", paths, errs)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "")
	if address, chosen := Address(); chosen || !strings.HasPrefix(address, "unix:path=/run/dbus/system_bus_socket;") {
		t.Errorf("%q, chosen %v", address, chosen)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/mine")
	if address, chosen := Address(); !chosen || address != "unix:path=/mine" {
		t.Errorf("%q, chosen %v", address, chosen)
	}
}
