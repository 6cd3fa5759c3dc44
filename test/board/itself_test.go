// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"strings"
	"testing"
	"time"

	"usbagent/test/need"
)

// TestBoardItself proves the emulated board without the agent: the model, the
// LED's register, a stick plugged and pulled, a reboot that the boot loader
// follows, a power cut after which the card can be read.
func TestBoardItself(t *testing.T) {
	parallel(t)
	need.Root(t)
	c, err := OpenCache()
	if err != nil {
		t.Fatal(err)
	}
	fw, err := BuildFirmware(c)
	if err != nil {
		t.Fatal(err)
	}
	booted, err := Booted(c, fw)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, parts{cache: c, fw: fw}, func(change func(*Board)) (*Board, error) { return Resume(fw, booted, change) })
	r.sh("true")
	t.Logf("back from the snapshot in %.1f s", time.Since(r.began).Seconds())

	if model := strings.TrimRight(r.file("/proc/device-tree/model"), "\x00"); model != Model {
		t.Errorf("model %q", model)
	}
	const led = "/sys/class/leds/yellow:programming"
	since := time.Now()
	r.sh("echo timer >" + led + "/trigger; echo 250 >" + led + "/delay_on; echo 250 >" + led + "/delay_off")
	r.await("blinking", soon, func() bool { return r.LED.Blinks(since) >= 4 })
	r.sh("echo none >" + led + "/trigger; echo 0 >" + led + "/brightness")
	r.await("LED off", soon, func() bool { return !r.LED.On() })

	stick := r.plain("fat32", "HELLO", File{Name: "hello", Data: []byte("world")})
	r.plug(stick)
	r.await("a block device", soon, func() bool { _, err := r.Read(context.Background(), "/sys/block/sda/sda1/size"); return err == nil })
	r.sh("mkdir /run/m; mount -o ro /dev/sda1 /run/m")
	if got := r.sh("cat /run/m/hello; umount /run/m"); got != "world" {
		t.Errorf("read %q from the stick", got)
	}
	if err := r.Pull(stick); err != nil {
		t.Fatal(err)
	}
	r.await("no block device", soon, func() bool { _, err := r.Read(context.Background(), "/sys/block/sda/size"); return err != nil })

	r.sh("echo kept >/srv/kept; sync; (sleep 1; systemctl reboot) >/dev/null 2>&1 &")
	if slot := r.booted(2); slot != "A" {
		t.Errorf("rebooted into %s", slot)
	}
	r.sh("echo late >/srv/late") // the page cache of a killed board is lost
	card := r.PowerCut()
	srv, err := card.FileSystem("srv", r.dir+"/srv.img")
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := srv.Read("/kept"); err != nil || string(kept) != "kept\n" {
		t.Errorf("after the power cut: %q, %v", kept, err)
	}
	if env, err := card.Environment(); err != nil || env["BOOT_ORDER"] != "A B" {
		t.Errorf("boot loader's environment %v, %v", env, err)
	}
}
