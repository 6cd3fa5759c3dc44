// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestPCWritesReplayed records every write and flush of the disk that holds
// keyring, list and state directory, and then looks at the disk as it is after
// each flush with everything later lost: a real disk with a write cache may
// leave just that. (The board's emulated SD card has no cache; the small PC's
// disk has one. The agent's code is the same.)
func TestPCWritesReplayed(t *testing.T) {
	parallel(t)
	p, err := builtPC()
	if err != nil {
		t.Fatal(err)
	}
	var log string
	r := newRig(t, p, func(change func(*Board)) (*Board, error) {
		return Boot(p.fw, p.fw.Slot, func(b *Board) {
			change(b)
			log = filepath.Join(b.dir, "writes.log")
			if err := makeSparse(log, 0); err != nil {
				t.Fatal(err)
			}
			if err := copySparse(filepath.Join(b.dir, "before.img"), b.card); err != nil {
				t.Fatal(err)
			}
			b.cardDrive = "driver=blklogwrites,file.driver=raw,file.file.driver=file,file.file.filename=" + b.card +
				",log.driver=file,log.filename=" + log
		})
	})
	r.await("the agent is idle", later, func() bool { return r.status().State == "idle" })
	stick := r.plain("fat32", "CUT", append(rotation(t, r.parts), script(t, r.fw.PKI.Customer, cutScript)...)...)
	r.plug(stick)
	r.expect(r.finished(later), "mount done", "keyring done", "autorun done")
	r.sh("sync")
	r.PowerCut()
	r.replay(log)
}

// replay looks at the disk after each flush.
func (r *rig) replay(path string) {
	r.t.Helper()
	log, err := OpenWriteLog(path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	flushes := log.Flushes()
	if len(flushes) < 4 {
		r.t.Fatalf("%d writes with %d flushes: nothing was proven", log.Len(), len(flushes))
	}
	r.t.Logf("%d writes, %d flushes", log.Len(), len(flushes))
	before, now := filepath.Join(r.dir, "before.img"), filepath.Join(r.dir, "now.img")
	seen := map[string]bool{}
	for i, flush := range flushes {
		from := 0
		if i > 0 {
			from = flushes[i-1]
		}
		if err := log.Apply(before, from, flush); err != nil {
			r.t.Fatal(err)
		}
		if err := copySparse(now, before); err != nil {
			r.t.Fatal(err)
		}
		if err := command(nil, "e2fsck", "-E", "journal_only", "-p", now); err != nil {
			r.t.Fatal(err)
		}
		seen[r.judgeDisk(Image{now})] = true
	}
	if !seen["vendor 0"] || !seen["customer 1"] {
		r.t.Errorf("states seen: %v", seen)
	}
}

// judgeDisk is judge for the small PC, whose disk holds everything.
func (r *rig) judgeDisk(disk Image) string {
	r.t.Helper()
	runs, _ := disk.Read("/runs")
	list, _ := disk.Read("/executed.list")
	keyring := r.keyringOn(disk, "/rauc")
	n := strings.Count(string(runs), "run")
	if n == 1 && !strings.Contains(string(list), scriptSum()) {
		r.t.Errorf("the script ran but is not in the list %q", list)
	}
	if n == 1 && keyring != "customer" {
		r.t.Errorf("the customer's script ran, but the keyring is the %s's", keyring)
	}
	return keyring + " " + map[bool]string{true: "1", false: "0"}[n > 0]
}
