// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// restless makes a disk whose name another disk takes, so many times, while
// its attributes are read: ro is a FIFO, and who reads it finds DISKSEQ
// changed afterwards.
func restless(t *testing.T, times int) (root string) {
	t.Helper()
	root = plantLoop(t, "loop0", map[string]string{"diskseq": "1\n"})
	ro := filepath.Join(at(t, root, "loop0"), "ro")
	next := func(n int) { // what the next reader finds; the one before keeps its FIFO
		fresh := ro + ".new"
		if n == times {
			put(t, fresh, "0\n")
		} else if err := unix.Mkfifo(fresh, 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Rename(fresh, ro); err != nil {
			t.Error(err)
		}
	}
	next(0)
	go func() {
		for n := range times {
			f, err := os.OpenFile(ro, os.O_WRONLY, 0) // waits for the reader
			if err != nil {
				return
			}
			put(t, filepath.Join(filepath.Dir(ro), "diskseq"), fmt.Sprintln(n+2))
			next(n + 1)
			fmt.Fprintln(f, "0")
			f.Close()
		}
	}()
	return root
}

// TestDiskReplacedWhileRead: the attributes of two disks are never mixed.
func TestDiskReplacedWhileRead(t *testing.T) {
	for times := range settleTries {
		d, ok, err := Refresh(restless(t, times), "loop0", []string{BusLoop})
		if err != nil || !ok || d.DiskSeq != uint64(times+1) {
			t.Errorf("%d times: %v %v %+v", times, err, ok, d)
		}
	}
	_, ok, err := Refresh(restless(t, settleTries), "loop0", []string{BusLoop})
	if ok || err == nil || !strings.Contains(err.Error(), "keeps changing") {
		t.Errorf("%v %v", ok, err)
	}
}
