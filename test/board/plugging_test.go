// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// next plugs a stick with a new script, checks that it is mounted where every
// first stick is and that the script runs once, and pulls it again: what has
// to work after every mishap.
func (r *rig) next(name string) {
	r.t.Helper()
	before := r.runs()
	stick := r.plain("fat32", "NEXT", script(r.t, r.signer, "# "+name+"\n"+effect)...)
	done := r.through(stick, "mount done", "autorun done")
	if done.Mountpoint != "/media/NEXT" || done.Device != "sda" {
		r.t.Errorf("after %s the next stick is %s at %s", name, done.Device, done.Mountpoint)
	}
	if got := r.runs(); got != before+1 {
		r.t.Errorf("after %s the next script ran %d times", name, got-before)
	}
	r.pull(stick)
}

// TestBoardPlugging goes through what hands do to sticks and readers. After
// each the LED is off, nothing is left mounted, and the next stick works.
func TestBoardPlugging(t *testing.T) {
	parallel(t)
	r := running(t)
	r.next("nothing")
	t.Run("RestartOfTheAgent", func(t *testing.T) { r.on(t, pluggedDuringRestart) })
	t.Run("TwoMediaOneLabel", func(t *testing.T) { r.on(t, twoMedia) })
	t.Run("TwelvePartitions", func(t *testing.T) { r.on(t, twelvePartitions) })
	t.Run("PullAndReplug", func(t *testing.T) { r.on(t, pullAndReplug) })
	t.Run("MediumArrivesLater", func(t *testing.T) { r.on(t, mediumLater) })
}

// TestBoardPulling pulls sticks in the middle of things.
func TestBoardPulling(t *testing.T) {
	parallel(t)
	r := running(t)
	t.Run("DuringMount", func(t *testing.T) { r.on(t, pullDuringMount) })
	t.Run("DuringScript", func(t *testing.T) { r.on(t, pullDuringScript) })
	t.Run("DuringReading", func(t *testing.T) { r.on(t, pullDuringReading) })
}

// TestBoardPullingCopied pulls while RAUC installs from a private copy.
func TestBoardPullingCopied(t *testing.T) {
	parallel(t)
	pullDuringInstallation(running(t))
}

// on runs a part of a test with the board of the whole.
func (r *rig) on(t *testing.T, part func(*rig)) {
	whole, began := r.t, time.Now()
	r.t = t
	defer func() {
		if t.Failed() {
			r.tell()
			r.pullAll() // the next part begins with a free port
		}
		r.t = whole
		t.Logf("%.1f s", time.Since(began).Seconds())
	}()
	part(r)
}

// pullAll takes out what a failed part left in.
func (r *rig) pullAll() {
	r.mu.Lock()
	left := append([]*Stick(nil), r.Board.sticks...)
	r.mu.Unlock()
	for _, s := range left {
		if err := r.Pull(s); err != nil {
			r.t.Log(err)
		}
	}
}

// pluggedDuringRestart plugs while systemd restarts the agent: the scan at the
// new one's start and the event overlap.
func pluggedDuringRestart(r *rig) {
	before, since := r.runs(), r.ConsoleSize()
	stick := r.plain("fat32", "NEXT", script(r.t, r.signer, "# restart\n"+effect)...)
	plugged := r.plug(stick)
	for range 3 {
		r.sh("systemctl restart usbagent")
	}
	r.lit(plugged)
	done := r.finished(later)
	r.told(since, done)
	r.sh("systemctl restart usbagent")
	r.shown(done) // nothing more may happen
	if got := r.runs() - before; got != 1 || done.Code != 0 {
		r.t.Errorf("the script ran %d times: %s", got, done)
	}
	r.pull(stick)
	r.next("a restart")
}

// twoMedia is a two-slot reader with two media of the same label.
func twoMedia(r *rig) {
	before := r.runs()
	first := r.plain("fat32", "SAME", script(r.t, r.signer, "# first\n"+effect)...)
	second := r.plain("fat32", "SAME", script(r.t, r.signer, "# second\n"+effect)...)
	reader := &Stick{Media: []string{first.Media[0], second.Media[0]}, UAS: r.uas}
	since := r.ConsoleSize()
	r.lit(r.plug(reader))
	r.await("both scripts ran", later, func() bool { return r.runs() == before+2 })
	r.finished(later)
	sticks := r.status().Sticks
	a, b := sticks[len(sticks)-2], sticks[len(sticks)-1]
	for _, s := range []StickResult{a, b} {
		r.expect(s, "mount done", "autorun done")
		r.told(since, s)
	}
	r.shown(b)
	if a.Mountpoint == b.Mountpoint || a.Mountpoint == "" || b.Mountpoint == "" {
		r.t.Errorf("mounted at %q and %q", a.Mountpoint, b.Mountpoint)
	}
	r.pull(reader)
	r.next("two media")
}

// twelvePartitions has its script on the last of twelve.
func twelvePartitions(r *rig) {
	before := r.runs()
	var parts []Part
	for i := range 12 {
		fs := FileSystem{Type: "fat12", Label: fmt.Sprintf("P%d", i+1), Size: 2 * mib}
		if i == 11 {
			fs.Files = script(r.t, r.signer, "# twelve\n"+effect)
		}
		parts = append(parts, Part{FileSystem: fs})
	}
	stick := r.stick("gpt", parts...)
	done := r.through(stick, append(slices.Repeat([]string{"mount done"}, 12), "autorun done")...)
	if got := r.mounts(); got != 12 || r.runs() != before+1 {
		r.t.Errorf("%d mounts, %d runs: %s", got, r.runs()-before, done)
	}
	if done.Steps[len(done.Steps)-1].Device != "sda12" {
		r.t.Errorf("the last step is not on sda12: %s", done)
	}
	r.pull(stick)
	r.next("twelve partitions")
}

// pullAndReplug takes the stick out and puts it back within 100 ms.
func pullAndReplug(r *rig) {
	before := r.runs()
	stick := r.plain("fat32", "NEXT", script(r.t, r.signer, "# replug\n"+effect)...)
	first := r.through(stick, "mount done", "autorun done")
	for out, tries := 2*MaxReplug, 0; out > MaxReplug; tries++ {
		if tries == replugTries {
			r.t.Fatalf("this machine is too busy: out and in again takes %s, not %s", out, MaxReplug)
		}
		first, out = r.replug(stick, first)
	}
	if got := r.runs(); got != before+1 {
		r.t.Errorf("the script ran %d times", got-before)
	}
	r.pull(stick)
	r.next("a quick replug")
}

// MaxReplug is the time from the pull to the plug that a quick replug takes at
// most; on a busy machine it is tried replugTries times.
const (
	MaxReplug   = 100 * time.Millisecond
	replugTries = 10
)

// replug takes the stick out and puts it back at once: a second insertion, with
// the mount where the first was.
func (r *rig) replug(stick *Stick, first StickResult) (second StickResult, out time.Duration) {
	r.t.Helper()
	since, began := r.ConsoleSize(), time.Now()
	if err := r.Pull(stick); err != nil {
		r.t.Fatal(err)
	}
	r.plug(stick)
	out = time.Since(began)
	r.t.Logf("out and in again in %s", out)
	r.await("a second insertion", later, func() bool {
		s := r.status().Sticks
		second = s[len(s)-1]
		return second.DiskSeq != first.DiskSeq && !second.Finished.IsZero()
	})
	r.expect(second, "mount done", "autorun skipped")
	r.told(since, second)
	r.shown(second)
	if second.Mountpoint != first.Mountpoint {
		r.t.Errorf("mounted at %s, then at %s", first.Mountpoint, second.Mountpoint)
	}
	return second, out
}

// mediumLater plugs a reader without a medium and puts one in after a while.
func mediumLater(r *rig) {
	before := r.runs()
	stick := r.plain("fat32", "NEXT", script(r.t, r.signer, "# later\n"+effect)...)
	stick.Empty = true
	stick.UAS = r.uas
	r.plug(stick)
	r.await("the reader", soon, func() bool {
		size := r.file("/sys/block/sda/size")
		return strings.TrimSpace(size) == "0"
	})
	time.Sleep(3 * time.Second)
	if r.lighted() {
		r.t.Error("a reader without a medium is no stick, but the LED is on")
	}
	since, inserted := r.ConsoleSize(), time.Now()
	if err := stick.Insert(0); err != nil {
		r.t.Fatal(err)
	}
	r.lit(inserted)
	r.await("the script ran", later, func() bool { return r.runs() == before+1 })
	done := r.finished(later)
	r.expect(done, "mount done", "autorun done")
	r.told(since, done)
	r.shown(done)
	if err := stick.Eject(0); err != nil {
		r.t.Fatal(err)
	}
	r.clean()
	r.pull(stick)
	r.next("a late medium")
}

// pullDuringMount pulls as soon as the LED says that the stick was seen, at
// several depths of the mount.
func pullDuringMount(r *rig) {
	for i, fsType := range []string{"fat32", "ext4", "ntfs", "exfat"} {
		before := r.runs()
		stick := r.plain(fsType, "NEXT", script(r.t, r.fw.PKI.Stranger, fmt.Sprintf("# mount %d", i))...)
		since, plugged := r.ConsoleSize(), r.plug(stick)
		r.await("LED on", soon, func() bool { _, on := r.LED.FirstOn(plugged); return on })
		time.Sleep(time.Duration(i) * 30 * time.Millisecond)
		r.pull(stick)
		r.await("the agent lets go of it", soon, func() bool { // by what it was at, the disk or the kernel tells first
			text := r.journalText(since)
			return strings.Contains(text, "the medium was taken out") || strings.Contains(text, "stick pulled") ||
				strings.Contains(text, "stick finished, it had been pulled") ||
				strings.Contains(text, "stick left before it was looked at")
		})
		if r.runs() != before {
			r.t.Error("a stranger's script ran")
		}
	}
	r.next("a pull during the mount")
}

// pullDuringScript pulls while the script runs: it goes on to its end.
func pullDuringScript(r *rig) {
	stick := r.plain("fat32", "NEXT", script(r.t, r.signer,
		"echo begun >/srv/long\ni=0; while [ ! -e /srv/go ] && [ $i -lt 600 ]; do i=$((i+1)); sleep 0.2; done\necho ended >>/srv/long")...)
	since := r.ConsoleSize()
	r.plug(stick)
	r.await("the script began", later, func() bool { return strings.Contains(r.file("/srv/long"), "begun") })
	if !r.lighted() {
		r.t.Error("LED off while the script runs")
	}
	r.pull(stick)
	if strings.Contains(r.file("/srv/long"), "ended") {
		r.t.Fatal("the script had ended before the pull")
	}
	r.put("/srv/go", "")
	r.await("the script ended", later, func() bool { return strings.Contains(r.file("/srv/long"), "ended") })
	r.journal(since, " step=autorun result=done ", soon)
	r.await("its end is recorded", soon, func() bool {
		return strings.Contains(r.sh("cat /srv/usbagent/scripts.json"), `"finished": true`) ||
			strings.Contains(r.sh("cat /srv/usbagent/scripts.json"), `"finished":true`)
	})
	r.next("a pull during the script")
}

// update is a stick with the customer's keyring and a system that boots.
func (r *rig) update() *Stick {
	r.t.Helper()
	return r.plain("fat32", "NEXT", append(rotation(r.t, r.parts), r.bundle(r.t, "update.image", Bundle{
		Signer: r.fw.PKI.CustomerImages, Format: "verity", Version: "2",
	}))...)
}

// pullDuringInstallation pulls while RAUC installs from the private copy: it
// goes on to its end, like a script, and the board starts the new system.
func pullDuringInstallation(r *rig) {
	stick := r.update()
	since := r.ConsoleSize()
	r.plug(stick)
	r.journal(since, ": Updating slot rootfs.1", later)
	if err := r.Pull(stick); err != nil {
		r.t.Fatal(err)
	}
	r.await("LED off after the pull", soon, func() bool { return !r.LED.On() && r.LED.Steady() > time.Second })
	r.journal(since, "stick finished, it had been pulled", later)
	r.journal(since, " step=image result=done ", soon)
	if slot := r.booted(2); slot != "B" {
		r.t.Errorf("the board runs from %s", slot)
	}
	r.clean()
	r.next("a pull during the installation") // the new system has the vendor's keyring
}

// pullDuringReading pulls while RAUC reads from the stick itself: the
// installation fails, the board stays as bootable as it was, and a good stick
// installs afterwards.
func pullDuringReading(r *rig) {
	r.sh("mkdir -p /etc/usbagent")
	r.put(configPath, "[installer]\ndirect = \"always\"\n")
	r.sh("systemctl restart usbagent")
	stick := r.update()
	since, plugged := r.ConsoleSize(), r.plug(stick)
	r.journal(since, ": Updating slot rootfs.1", later)
	if err := r.Pull(stick); err != nil {
		r.t.Fatal(err)
	}
	r.journal(since, " step=image result=failed ", later)
	r.journal(since, "stick finished, it had been pulled", soon)
	r.clean()
	if r.LED.Blinks(plugged) == 0 {
		r.t.Error("the LED did not blink")
	}
	if got := r.sh("fw_printenv -n BOOT_ORDER"); !strings.HasPrefix(got, "A") {
		r.t.Errorf("boot order %q after a broken installation", got)
	}
	r.signer = r.fw.PKI.Customer // the keyring was replaced before the pull
	r.next("a pull while the image was read")
	r.installs(r.plain("fat32", "NEXT", r.tiny(r.t, "update.image", "verity", "3")))
	r.inSlotB(r.tinyImage(r.t))
}

// exists reports whether the board has that path.
func (r *rig) exists(path string) bool {
	status, _, err := r.Run(context.Background(), "test", "-e", path)
	return err == nil && status == 0
}
