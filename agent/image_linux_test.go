// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"usbagent/test/raucbench"
)

// withRAUC gives the bench the real RAUC service, which trusts the installed
// keyring and has two slots, and a reboot that only leaves a file.
func (b *bench) withRAUC(change ...func(*raucbench.Options)) *raucbench.Bench {
	b.t.Helper()
	o := raucbench.Options{Dir: filepath.Join(b.dir, "rauc"), Keyring: b.keyringPath()}
	for _, c := range change {
		c(&o)
	}
	rauc := raucbench.For(b.t, o)
	b.config["installer.backend"] = `"rauc"`
	b.env = append(b.env, rauc.Env()...)
	reboot := filepath.Join(b.dir, "reboot")
	b.must(os.WriteFile(reboot, []byte("#!/bin/sh\necho >>"+b.dir+"/rebooted\n"), 0o755))
	b.flags = append(b.flags, "--rauc-conf", rauc.Conf, "--reboot-command", reboot)
	return rauc
}

// reboots counts how often the daemon restarted the board.
func (b *bench) reboots() int {
	text, _ := os.ReadFile(filepath.Join(b.dir, "rebooted"))
	return strings.Count(string(text), "\n")
}

// boot restarts RAUC in the slot, and the daemon in what it takes for a new
// boot with the sticks in.
func (b *bench) boot(rauc *raucbench.Bench, slot, id string) {
	b.t.Helper()
	b.stop(syscall.SIGTERM)
	rauc.StopService()
	b.must(rauc.StartService(slot))
	flags := b.flags
	b.flags = append(flags[:len(flags):len(flags)], "--boot-id", id)
	b.start()
	b.flags = flags
}

// bundle is a bundle signed by by, and its content.
func (b *bench) bundle(rauc *raucbench.Bench, version string, o raucbench.Bundle) (image string, content []byte) {
	b.t.Helper()
	content = make([]byte, 300<<10)
	rand.Read(content)
	o.Version, o.Content = version, content
	path, err := rauc.Bundle(o)
	b.must(err)
	return read(b.t, path), content
}

func TestKeyringScriptAndImageOnOneStick(t *testing.T) {
	b := newBench(t)
	rauc := b.withRAUC()
	b.start()
	image, content := b.bundle(rauc, "2", raucbench.Bundle{PKI: customer})
	f := b.keyringFiles()
	f["autorun.sh"] = "#!/bin/sh\necho ran >>" + b.dir + "/out\n"
	f.sign(b, "autorun.sh", customer)
	f["firmware.image"] = image
	device := b.plug(b.stick("ALL", f))
	blinked := false
	b.wait("the board to be restarted", func() bool {
		blinked = blinked || b.led() == "blink"
		return b.reboots() == 1
	})
	s := b.done(device)
	b.expect(s, "keyring", "done", "")
	b.expect(s, "autorun", "done", "")
	b.expect(s, "image", "done", `version "2" installed into rootfs.1`)
	if !blinked || b.led() != "on" {
		t.Errorf("the LED blinked: %v, and shows %q while the board restarts, want on", blinked, b.led())
	}
	if !rauc.Holds("B", content) || rauc.Primary() != "B" {
		t.Errorf("slot B does not hold the image, or does not boot next: %s", rauc.Primary())
	}
	if left, _ := filepath.Glob(b.dir + "/state/staging/*"); len(left) != 0 {
		t.Errorf("private copies left: %v", left)
	}

	b.boot(rauc, "B", "boot-2") // arrives, the stick still in
	b.expect(b.done(device), "image", "skipped", "")
	b.must(rauc.SetPrimary("A"))
	b.boot(rauc, "A", "boot-3") // rolled back by hand
	b.expect(b.done(device), "image", "skipped", "the image was installed before")
	if s := b.done(device); s.Code != 0 || b.reboots() != 1 || b.out() != "ran\n" {
		t.Errorf("code %d, %d reboots, scripts wrote %q", s.Code, b.reboots(), b.out())
	}
	b.pull(device)
}

func TestFallBackIsToldAndAFreshPlugTriesAgain(t *testing.T) {
	b := newBench(t)
	rauc := b.withRAUC()
	b.start()
	image, _ := b.bundle(rauc, "2", raucbench.Bundle{PKI: vendor})
	stick := b.stick("BAD", files{"firmware.image": image})
	device := b.plug(stick)
	b.wait("the board to be restarted", func() bool { return b.reboots() == 1 })
	b.must(rauc.SetPrimary("A")) // the boot loader gave the new system up
	b.boot(rauc, "A", "boot-2")
	s := b.done(device)
	b.expect(s, "image", "refused", "went back")
	if s.Code != 6 || b.reboots() != 1 {
		t.Errorf("code %d, %d reboots", s.Code, b.reboots())
	}
	b.pull(device)
	b.stop(syscall.SIGTERM)
	b.start() // no longer at boot
	device = b.plug(stick)
	b.wait("the image to be installed again", func() bool { return b.reboots() == 2 })
	b.pull(device)
}

// TestTwoImagesLeftIn: one plug is for one installation, at whatever boot the
// other image is seen again.
func TestTwoImagesLeftIn(t *testing.T) {
	b := newBench(t)
	rauc := b.withRAUC()
	b.start()
	first, content := b.bundle(rauc, "2", raucbench.Bundle{PKI: vendor})
	second, other := b.bundle(rauc, "3", raucbench.Bundle{PKI: vendor})
	stick := b.stick("TWO", files{"a.image": first, "b.image": second})
	device := b.plug(stick)
	b.wait("the board to be restarted", func() bool { return b.reboots() == 1 })
	for _, boot := range []struct{ slot, id string }{{"B", "boot-2"}, {"B", "boot-3"}, {"A", "boot-4"}} {
		b.must(rauc.SetPrimary(boot.slot)) // the last time by hand
		b.boot(rauc, boot.slot, boot.id)
		s := b.done(device)
		b.expect(s, "image", "skipped", "installed before")
		if last := s.Steps[len(s.Steps)-1]; last.Result != "skipped" || !strings.Contains(last.Reason, "one plug is for one image") {
			t.Errorf("%s, the other image: %+v", boot.id, last)
		}
		if s.Code != 0 || b.reboots() != 1 || boot.slot == "B" && !rauc.Holds("B", content) {
			t.Errorf("%s: code %d, %d reboots: %+v", boot.id, s.Code, b.reboots(), s.Steps)
		}
	}
	b.pull(device)
	b.stop(syscall.SIGTERM)
	b.must(rauc.SetPrimary("B"))
	rauc.StopService()
	b.must(rauc.StartService("B"))
	b.start() // no longer at boot
	device = b.plug(stick)
	b.wait("the other image to be installed", func() bool { return b.reboots() == 2 })
	if !rauc.Holds("A", other) {
		t.Error("a fresh plug did not install the other image")
	}
	b.pull(device)
}

func TestImagesThatAreNotInstalled(t *testing.T) {
	b := newBench(t)
	rauc := b.withRAUC()
	b.start()
	good, _ := b.bundle(rauc, "2", raucbench.Bundle{PKI: vendor})
	foreign, _ := b.bundle(rauc, "3", raucbench.Bundle{PKI: customer})
	other, _ := b.bundle(rauc, "4", raucbench.Bundle{PKI: vendor, Compatible: "another board"})
	tampered := []byte(good)
	tampered[len(tampered)/3] ^= 1
	for _, c := range []struct {
		name, image, result, reason string
	}{
		{"signed by somebody else", foreign, "refused", "Customer"},
		{"tampered", string(tampered), "refused", ""},
		{"truncated", good[:len(good)-100], "refused", "no RAUC bundle"},
		{"no bundle", "hello", "refused", "too few for a RAUC bundle"},
		{"another board's", other, "skipped", `"another board"`},
	} {
		s, device := b.run("NOT", files{"firmware.image": c.image})
		b.expect(s, "image", c.result, c.reason)
		if s.Code != 6 {
			t.Errorf("%s: code %d, want 6", c.name, s.Code)
		}
		b.pull(device)
	}
	if b.reboots() != 0 || rauc.Primary() != "A" {
		t.Fatalf("%d reboots, primary slot %s", b.reboots(), rauc.Primary())
	}
	device := b.plug(b.stick("FITS", files{"a.image": other, "b.image": good, "c.image": good, ".hidden.image": "x"}))
	b.wait("the image that fits to be installed", func() bool { return b.reboots() == 1 })
	if s := b.done(device); s.Code != 0 {
		t.Errorf("another image fits: code %d, steps %+v", s.Code, s.Steps)
	}
	b.pull(device)
}

// TestKilledWhileInstalling kills the daemon while RAUC works: the next one
// takes the installation over and restarts the board once.
func TestKilledWhileInstalling(t *testing.T) {
	b := newBench(t)
	rauc := b.withRAUC()
	b.start()
	image, content := b.bundle(rauc, "2", raucbench.Bundle{PKI: vendor})
	device := b.plug(b.stick("KILL", files{"firmware.image": image}))
	b.wait("the LED to blink", func() bool { return b.led() == "blink" })
	b.stop(syscall.SIGKILL)
	b.start()
	b.wait("the board to be restarted", func() bool { return b.reboots() > 0 })
	if b.reboots() != 1 || !rauc.Holds("B", content) {
		t.Errorf("%d reboots; slot B holds the image: %v", b.reboots(), rauc.Holds("B", content))
	}
	text, _ := os.ReadFile(rauc.Log)
	if n := bytes.Count(text, []byte("Installing")); n > 2 {
		t.Logf("RAUC wrote:\n%s", text)
	}
	b.pull(device)
}

// TestInstallerThatCannotBindAfterAll has a rauc program that knows
// --require-manifest-hash and a service that does not, as while RAUC is being
// updated: the image is copied first then, and installed.
func TestInstallerThatCannotBindAfterAll(t *testing.T) {
	b := newBench(t)
	rauc := b.withRAUC()
	program, err := exec.LookPath("rauc")
	b.must(err)
	newer := filepath.Join(b.dir, "newer")
	b.must(os.Mkdir(newer, 0o755))
	b.must(os.WriteFile(filepath.Join(newer, "rauc"), []byte("#!/bin/sh\n[ \"$*\" != 'install --help' ] || echo ' --require-manifest-hash'\nexec "+program+" \"$@\"\n"), 0o755))
	b.env = append(b.env, "PATH="+newer+":"+os.Getenv("PATH"))
	b.start()
	image, content := b.bundle(rauc, "2", raucbench.Bundle{PKI: vendor, Format: "verity"})
	device := b.plug(b.stick("BIND", files{"firmware.image": image}))
	done := b.done(device)
	for _, want := range []string{"the installer reads the image from the stick", "cannot be bound to the image after all", "the image is copied first"} {
		if !strings.Contains(b.logText(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if text := read(t, rauc.Log); !strings.Contains(text, "Verified inline signature") {
		t.Error("RAUC did not get the copy")
	}
	if mapper, err := os.Open("/dev/mapper/control"); err == nil { // RAUC cannot install verity bundles without
		mapper.Close()
		b.expect(done, "image", "done", "installed into rootfs.1")
		if !rauc.Holds("B", content) {
			t.Error("slot B does not hold the image")
		}
	}
	if left, _ := filepath.Glob(b.dir + "/state/staging/*"); len(left) != 0 {
		t.Errorf("private copies left: %v", left)
	}
	b.pull(device)
}

func TestCommandBackend(t *testing.T) {
	b := newBench(t)
	b.config["installer.backend"] = `"command"`
	b.config["installer.command"] = fmt.Sprintf(`["/bin/cp", "{image}", %q]`, b.dir+"/installed")
	b.config["installer.reboot"] = "false"
	b.start()
	s, device := b.run("CMD", files{"any.image": "an image of another kind\n"})
	b.expect(s, "image", "done", "installed")
	if got := read(t, b.dir+"/installed"); got != "an image of another kind\n" {
		t.Errorf("the command got %q", got)
	}
	b.pull(device)
	b.config["installer.command"] = `["/bin/false", "{image}"]`
	b.stop(syscall.SIGTERM)
	b.start()
	s, device = b.run("FAILS", files{"any.image": "x"})
	b.expect(s, "image", "failed", "")
	if s.Code != 6 {
		t.Errorf("code %d, want 6", s.Code)
	}
	b.pull(device)
}
