// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDropCode: pages go, and the program goes on.
func TestDropCode(t *testing.T) {
	before := residentFile(t)
	dropCode()
	if after := residentFile(t); after >= before {
		t.Errorf("%d kB of files resident, %d before", after, before)
	}
}

// residentFile returns the kilobytes of files that are resident.
func residentFile(t *testing.T) (n int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
