// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// CutsVariable sets how many power cuts TestBoardPowerCuts makes;
// "make board-powercut" sets 100.
const CutsVariable = "USBAGENT_POWERCUTS"

// quickCuts is how many the tests make otherwise.
const quickCuts = 6

// afterDone is how long after the last effect power is still cut.
const afterDone = 10 * time.Second

// cutScript counts its run durably, before it does anything that takes time.
const cutScript = "echo run >>/srv/runs\nsync\nsleep 1\necho end >>/srv/ends\nsync"

// TestBoardPowerCuts cuts the power at instants spread from the plug to ten
// seconds after the last step, and then reads the card: the keyring is the
// whole old or the whole new one, the list holds what ran, and after the next
// boot, with the stick still in, nothing has run twice.
func TestBoardPowerCuts(t *testing.T) {
	cuts := quickCuts
	if text := os.Getenv(CutsVariable); text != "" {
		var err error
		if cuts, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	span := 0 * time.Second
	t.Run("Uncut", func(t *testing.T) {
		r := running(t)
		stick := r.plain("fat32", "CUT", append(rotation(t, r.parts), script(t, r.fw.PKI.Customer, cutScript)...)...)
		plugged := r.plug(stick)
		r.expect(r.finished(later), "mount done", "keyring done", "autorun done")
		span = time.Since(plugged)
		t.Logf("from plug to done: %s", span)
	})
	for i := range cuts {
		at := time.Duration(float64(span+afterDone) * float64(i+1) / float64(cuts+1))
		t.Run(fmt.Sprintf("After%05dms", at.Milliseconds()), func(t *testing.T) {
			parallel(t)
			cutAt(t, at, i%10 == 2)
		})
	}
}

// cutAt plugs, cuts the power after that time, and reads the card; reboot lets
// the board then start again with the stick in.
func cutAt(t *testing.T, at time.Duration, reboot bool) {
	r := running(t)
	stick := r.plain("fat32", "CUT", append(rotation(t, r.parts), script(t, r.fw.PKI.Customer, cutScript)...)...)
	plugged := r.plug(stick)
	time.Sleep(time.Until(plugged.Add(at)))
	card := r.PowerCut()
	root, err := card.FileSystem("A", filepath.Join(r.dir, "a.img"))
	if err != nil {
		t.Fatal(err)
	}
	srv, err := card.FileSystem("srv", filepath.Join(r.dir, "srv.img"))
	if err != nil {
		t.Fatal(err)
	}
	r.judge(root, srv, stick)
	if !reboot {
		return
	}
	if err := r.PowerOn(); err != nil {
		t.Fatal(err)
	}
	r.booted(2)
	r.finished(later)
	if r.runs() > 1 {
		t.Errorf("the script ran %d times", r.runs())
	}
	r.pull(stick)
}

// judge checks what a power cut left: root holds keyring and list, srv what the
// script did.
func (r *rig) judge(root, srv Image, _ *Stick) {
	r.t.Helper()
	keyring := r.keyringOn(root, "/etc/rauc")
	runs, _ := srv.Read("/runs")
	list, _ := root.Read("/var/cache/usb-autorun/executed.list")
	n := strings.Count(string(runs), "run")
	if n > 1 {
		r.t.Errorf("the script ran %d times", n)
	}
	if n == 1 && !strings.Contains(string(list), scriptSum()) {
		r.t.Errorf("the script ran but is not in the list %q", list)
	}
	if n == 1 && keyring != "customer" {
		r.t.Errorf("the customer's script ran, but the keyring is the %s's", keyring)
	}
	r.t.Logf("keyring: %s, runs: %d, list: %d bytes", keyring, n, len(list))
}

// scriptSum is the MD5 of cutScript as a file.
func scriptSum() string {
	sum := md5.Sum([]byte("#!/bin/sh\n" + cutScript + "\n"))
	return hex.EncodeToString(sum[:])
}

// keyringOn says whose keyring lies in dir of the image: it has to be a whole
// one.
func (r *rig) keyringOn(root Image, dir string) string {
	r.t.Helper()
	if strings.Contains(root.Stat(dir+"/keyring.pem"), `Fast link dest: "vendor-ca.pem"`) {
		return "vendor"
	}
	data, err := root.Read(dir + "/keyring.pem")
	for owner, path := range map[string]string{"vendor": r.fw.PKI.VendorCA, "customer": r.fw.PKI.CustomerCA} {
		want, err := os.ReadFile(path)
		if err != nil {
			r.t.Fatal(err)
		}
		if string(data) == string(want) {
			return owner
		}
	}
	r.t.Errorf("the keyring is neither the whole old nor the whole new one: %d bytes, %v", len(data), err)
	return ""
}

// TestBoardBrokenStick plugs an ext4 stick that asks the kernel to panic at the
// first error, and has one: no panic, no reset, and the next stick works.
func TestBoardBrokenStick(t *testing.T) {
	parallel(t)
	r := running(t)
	stick := r.plain("ext4", "PANIC") // its image is replaced
	image := Image{stick.Media[0]}
	fs := FileSystem{Type: "ext4", Label: "PANIC", Files: script(t, r.fw.PKI.Vendor, effect), Options: []string{"-e", "panic"}}
	if err := fs.Write(image.Path); err != nil {
		t.Fatal(err)
	}
	if text, err := image.debugfs("sif /autorun.sh checksum 0xdead", "sif /autorun.sh checksum 0xdeadbeef", "sif /autorun.sh block[0] 0xffffffff"); err != nil {
		t.Fatal(err, text)
	}
	r.plug(stick)
	done := r.finished(later)
	if done.Code == 0 {
		t.Errorf("a broken inode was no failure: %s", done)
	}
	r.pull(stick)
	if len(r.Starts()) != 1 || strings.Contains(r.Console(0), "Kernel panic") {
		t.Error("the stick made the kernel panic")
	}
	r.next("a broken stick")
}
