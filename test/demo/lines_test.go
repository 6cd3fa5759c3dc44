// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package main

import "testing"

func TestLinesOfTheAgent(t *testing.T) {
	for _, c := range []struct {
		line string
		want event
	}{
		{`09:14:52.858 warn  step refused device=loop0 step=keyring result=refused partition=loop0 file=k.pem reason="no \"good\" one" code=3`,
			event{"agent", `keyring  refused  k.pem  no "good" one`}},
		{`09:14:52.814 info  stick found device=loop0 size="32 MiB" diskseq=89 at_boot=false`, event{"agent", "stick found (size 32 MiB)"}},
		{`09:14:52.814 info  hello`, event{"agent", "hello"}},
		{`09:14:52.814 info  usb-autorun: a=1 and b=2`, event{"script", "a=1 and b=2"}},
		{`panic: oh`, event{"agent", "panic: oh"}},
	} {
		if got := parse(c.line); got != c.want {
			t.Errorf("%q:\n got %+v\nwant %+v", c.line, got, c.want)
		}
	}
}
