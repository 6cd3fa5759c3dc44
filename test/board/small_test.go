// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"usbagent/test/need"
)

// once builds another machine than the board, with the agent for arch, once.
func once(arch string, build func(*Cache, *Agent) (*Firmware, error)) func() (parts, error) {
	return sync.OnceValues(func() (p parts, err error) {
		if p.cache, err = OpenCache(); err != nil {
			return p, err
		}
		if p.agent, err = BuildAgent(p.cache, arch); err != nil {
			return p, err
		}
		p.fw, err = build(p.cache, p.agent)
		return p, err
	})
}

var (
	builtPC  = once("amd64", BuildPC)
	builtRPi = once("arm", BuildRPi)
)

// small boots a machine other than the board and waits for the agent on it.
func small(t *testing.T, build func() (parts, error)) *rig {
	t.Helper()
	need.Root(t)
	p, err := build()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, p, func(change func(*Board)) (*Board, error) { return Boot(p.fw, p.fw.Slot, change) })
	r.await("the agent is idle", later, func() bool { return r.status().State == "idle" })
	return r
}

// pc is the small PC.
func pc(t *testing.T) *rig {
	t.Helper()
	return small(t, builtPC)
}

// light is the PC keyboard's LED.
func (r *rig) light() string {
	return strings.TrimSpace(r.file("/sys/class/leds/input0::capslock/brightness"))
}

// lighted reports whether the LED is on, on whichever machine.
func (r *rig) lighted() bool {
	if r.fw.ledRegister == 0 {
		return r.light() == "1"
	}
	return r.LED.On()
}

// TestPCFourSticks plugs four sticks into a hub at once: each is mounted on a
// directory of its own and has its script run once, one after the other.
func TestPCFourSticks(t *testing.T) {
	parallel(t)
	r := pc(t)
	var sticks []*Stick
	for i := range 4 {
		s := r.plain([]string{"fat32", "ext4", "exfat", "fat16"}[i], "SAME", script(t, r.fw.PKI.Vendor, fmt.Sprintf("# %d\necho in %d >>/srv/order; sleep 1; echo out %d >>/srv/order\n%s", i, i, i, effect))...)
		s.Port = fmt.Sprintf("1.%d", i+1)
		sticks = append(sticks, s)
	}
	for _, s := range sticks {
		r.plug(s)
	}
	r.await("LED on", soon, func() bool { return r.light() == "1" })
	r.await("four scripts ran", later, func() bool { return r.runs() == 4 })
	r.finished(later)
	order := strings.Fields(r.file("/srv/order"))
	for i := 0; i+3 < len(order); i += 4 {
		if order[i] != "in" || order[i+2] != "out" || order[i+1] != order[i+3] {
			t.Errorf("scripts ran at the same time: %v", order)
		}
	}
	places := map[string]bool{}
	for _, s := range r.status().Sticks {
		places[s.Mountpoint] = true
	}
	if len(places) != 4 {
		t.Errorf("mounted at %v", places)
	}
	r.await("LED off", soon, func() bool { return r.light() == "0" })
	for _, s := range sticks {
		if err := r.Pull(s); err != nil {
			t.Fatal(err)
		}
	}
	r.clean()
	r.next("four sticks")
}

// TestPCUAS plugs USB-attached-SCSI sticks: one with all three, for this
// machine's installer, and then what hands do to sticks on any machine. There is
// no systemd here, so the scripts run in sessions of their own.
func TestPCUAS(t *testing.T) {
	parallel(t)
	r := pc(t)
	r.uas = true
	files := append(rotation(t, r.parts), script(t, r.fw.PKI.Customer, effect)...)
	image := r.tiny(t, "update.image", "plain", "2")
	s := r.plain("exfat", "UAS", append(files, image)...)
	r.plug(s)
	done := r.finished(later)
	r.expect(done, "mount done", "keyring done", "autorun done", "image done")
	if got := r.sh("cat /sys/bus/usb/drivers/uas/*/uevent 2>/dev/null | grep -c DRIVER=uas; true"); got != "1" {
		t.Errorf("%s devices of the uas driver", got)
	}
	if got, want := r.sh("sha256sum </srv/installed"), hostSum(t, image.Path); !strings.HasPrefix(got, want) {
		t.Errorf("the installer got %s, want %s", got, want)
	}
	if r.file("/srv/rauc/keyring.pem") != customerCA(t, r.parts) || r.runs() != 1 {
		t.Errorf("keyring not replaced or script not run once: %d runs", r.runs())
	}
	r.pull(s)
	r.signer = r.fw.PKI.Customer
	r.next("UAS")
	t.Run("TwoMediaOneLabel", func(t *testing.T) { r.on(t, twoMedia) })
	t.Run("TwelvePartitions", func(t *testing.T) { r.on(t, twelvePartitions) })
	t.Run("PullAndReplug", func(t *testing.T) { r.on(t, pullAndReplug) })
	t.Run("MediumArrivesLater", func(t *testing.T) { r.on(t, mediumLater) })
	t.Run("PullDuringScript", func(t *testing.T) { r.on(t, pullDuringScript) })
}

// hostSum is the SHA-256 of a file of the host's.
func hostSum(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// TestPCClock: the year 2100, in which Debian's 32-bit systemd on the board
// does not live, and the year of a board without a clock.
func TestPCClock(t *testing.T) {
	parallel(t)
	r := pc(t)
	r.sh("date -s '2100-01-01 00:00:00'")
	r.next("2100")
	r.sh("date -s '1970-01-02 00:00:00'")
	r.next("1970")
}

// TestRPiLED is the rpio backend on the SoC it is for: pin 16's level is read
// from QEMU's GPIO registers.
func TestRPiLED(t *testing.T) {
	parallel(t)
	r := small(t, builtRPi)
	if r.LED.On() {
		t.Error("LED on at start")
	}
	// Made on the host: a loop device that was made into a stick here would be
	// one for the agent before it is ready.
	stick := r.stick("disk", Part{FileSystem: FileSystem{Type: "fat12", Label: "LOOP", Files: script(t, r.fw.PKI.Stranger, effect)}})
	r.put("/tmp/stick.gz", compressed(t, stick.Media[0]))
	r.sh("gunzip /tmp/stick.gz")
	since := time.Now()
	r.sh("losetup /dev/loop0 /tmp/stick")
	r.await("LED on", soon, func() bool { _, on := r.LED.FirstOn(since); return on })
	done := r.finished(later)
	r.expect(done, "mount done", "autorun refused")
	if done.Device != "loop0" || done.Code != 4 {
		t.Errorf("code %d: %s", done.Code, done)
	}
	r.code(4)
	r.sh(": >/tmp/stick; losetup -c /dev/loop0") // the medium is gone; a mounted loop device cannot be detached
	r.await("LED off", soon, func() bool { return !r.LED.On() && r.LED.Steady() > 2*time.Second })
}

// compressed is a file's content as gzip makes it smaller.
func compressed(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	z := gzip.NewWriter(&b)
	if _, err = z.Write(data); err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBoardLEDBackends: the GPIO character device on a free line of the same
// board, seen at its register, and rpio refused on a SoC that it is not for.
func TestBoardLEDBackends(t *testing.T) {
	parallel(t)
	p := everything(t)
	free := *p.fw
	free.ledBit = 1 << 16 // the line beside the LED's
	r := newRig(t, p, func(change func(*Board)) (*Board, error) { return Resume(&free, p.running, change) })
	chip := r.sh("basename $(ls -d /sys/bus/gpio/devices/gpiochip*/of_node | while read n; do case $(readlink -f $n) in *gpio@20a4000) dirname $n;; esac; done)")
	r.sh("mkdir -p /etc/usbagent")
	r.put(configPath, "[led]\nbackend = \"gpiochip\"\nchip = \"/dev/"+chip+"\"\nline = 16\n")
	r.sh("systemctl restart usbagent")
	stick := r.plain("fat32", "LED", script(t, p.fw.PKI.Stranger, effect)...)
	r.through(stick, "mount done", "autorun refused")
	r.pull(stick)

	r.put(configPath, "[led]\nbackend = \"rpio\"\npin = 16\n")
	since := r.ConsoleSize()
	r.sh("systemctl restart usbagent")
	r.journal(since, "rpio is for the Raspberry Pi only: this board is", soon)
	r.plug(stick)
	done := r.finished(later)
	r.expect(done, "mount done", "autorun refused") // the work goes on without a LED
	r.told(since, done)
	if r.LED.On() {
		t.Error("rpio moved a line of this board")
	}
	r.pull(stick)
}
