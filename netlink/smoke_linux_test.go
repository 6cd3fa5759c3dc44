// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"context"
	"errors"
	"testing"
)

func TestScanOfThisMachineReadsEveryDisk(t *testing.T) {
	if _, err := Scan("", []string{BusUSB, BusLoop}); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsNext(t *testing.T) {
	s, err := Listen(Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	for range 2 {
		for err == nil {
			_, err = s.Next(context.Background()) // other tests' events first
		}
		if !errors.Is(err, ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
	}
}
