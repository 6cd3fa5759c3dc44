// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"crypto/md5"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"usbagent/agent"
	"usbagent/test/need"
	"usbagent/test/raucbench"
)

// lacks is how the line begins that says what a board lacks.
const lacks = "this board lacks something, the work goes on without it"

// in makes the daemon run in a mount namespace of its own, in which the shell
// lines were run before; $D is the bench.
func (b *bench) in(lines string) {
	need.Tool(b.t, "unshare")
	b.under = []string{"unshare", "--mount", "--propagation", "private", "sh", "-ec", "D=" + b.dir + "; " + lines + `; exec "$@"`, "sh"}
}

// once counts a text in the log: what is missing is told in one line.
func (b *bench) once(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		if n := strings.Count(b.logText(), text); n != 1 {
			b.t.Errorf("%q is in the log %d times", text, n)
		}
	}
}

// script is a signed script that writes to the bench's out.
func (b *bench) script() files {
	return files{"autorun.sh": "#!/bin/sh\necho ran >>" + b.dir + "/out\n"}.sign(b, "autorun.sh", vendor)
}

func TestFirstBootReadOnlyEtc(t *testing.T) {
	b := newBench(t)
	b.in(`mount --bind $D/etc $D/etc; mount -o remount,bind,ro $D/etc`)
	b.start()
	f := b.keyringFiles()
	for name, content := range b.script() {
		f[name] = content
	}
	s, device := b.run("ROETC", f)
	b.expect(s, "keyring", "failed", "read-only file system")
	b.expect(s, "autorun", "done", "exit status 0")
	if s.Code != 3 || b.out() != "ran\n" {
		t.Errorf("code %d, the script wrote %q", s.Code, b.out())
	}
	b.once(lacks, "the keyring cannot be replaced")
	b.pull(device)
}

func TestFirstBootVolatileVar(t *testing.T) {
	b := newBench(t)
	b.in(`mkdir -p $D/cache; mount -t tmpfs -o mode=755 var $D/cache`)
	b.start()
	s, device := b.run("TMPFS", b.script())
	b.expect(s, "autorun", "refused", "scripts would run again")
	if s.Code != 4 || b.out() != "" {
		t.Errorf("code %d, the script wrote %q", s.Code, b.out())
	}
	b.once(lacks, "is on tmpfs: no script will run")
	b.pull(device)
}

func TestFirstBootReadOnlyMedia(t *testing.T) {
	b := newBench(t)
	b.in(`mkdir -p $D/media; mount --bind $D/media $D/media; mount -o remount,bind,ro $D/media`)
	b.start()
	s, device := b.run("ROMEDIA", b.script())
	b.expect(s, "autorun", "done", "exit status 0")
	if want := filepath.Join(b.dir, "run/media/ROMEDIA"); s.Mountpoint != want {
		t.Errorf("mounted at %q, want %q", s.Mountpoint, want)
	}
	b.once("sticks are mounted elsewhere")
	b.pull(device)
	b.wait("the mount point to be gone", func() bool {
		_, err := os.Stat(s.Mountpoint)
		return os.IsNotExist(err)
	})
}

// TestFirstBootNoRAUC has a good image on the stick, and neither RAUC's
// configuration nor a bus on which it could be asked.
func TestFirstBootNoRAUC(t *testing.T) {
	b := newBench(t)
	rauc := b.withRAUC()
	image, _ := b.bundle(rauc, "2.0", raucbench.Bundle{Format: "verity", PKI: vendor})
	rauc.StopService()
	b.env = []string{"DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + b.dir + "/no-bus"}
	b.flags = append(b.flags, "--rauc-conf", b.dir+"/no.conf")
	b.start()
	f := b.script()
	f["update.image"] = image
	s, device := b.run("NORAUC", f)
	b.expect(s, "autorun", "done", "exit status 0")
	if result, reason := step(s, "image"); result == "done" || s.Code != 6 || !strings.Contains(reason, "bus") {
		t.Errorf("image: %s (%s), code %d", result, reason, s.Code)
	}
	b.once(lacks, "no.conf (no image will be installed)", "the D-Bus system bus (no image")
	b.pull(device)
}

func TestFirstBootNoLED(t *testing.T) {
	b := newBench(t)
	b.config["led.name"] = `"green"`
	b.start()
	s, device := b.run("DARK", b.script())
	b.expect(s, "autorun", "done", "exit status 0")
	b.once("no LED, the work goes on without it")
	b.pull(device)
}

// TestShellSetupIsNamed is the board on which scripts did the work before: the
// agent names what is left of them, and honours their list.
func TestShellSetupIsNamed(t *testing.T) {
	b := newBench(t)
	f := b.script()
	b.must(os.MkdirAll(filepath.Join(b.dir, "root/etc/usb-mount.d"), 0o755))
	b.must(os.MkdirAll(filepath.Join(b.dir, "cache"), 0o755))
	list := filepath.Join(b.dir, "cache/executed.list")
	old := fmt.Sprintf("%x  autorun.sh\n", md5.Sum([]byte(f["autorun.sh"]))) // what md5sum prints
	b.must(os.WriteFile(list, []byte(old), 0o644))
	b.start()
	s, device := b.run("OLD", f)
	b.expect(s, "autorun", "skipped", "already executed")
	if b.out() != "" || read(t, list) != old {
		t.Errorf("the script wrote %q, the list is %q", b.out(), read(t, list))
	}
	b.once("a shell set-up for USB sticks is still there", "/etc/usb-mount.d")
	b.pull(device)
}

// static is the program as it is shipped, which needs no libraries.
var static = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "usbagent-static-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+"/usbagent", "usbagent/cmd/usbagent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(dir + "/usbagent")
})

// odd is a board with nothing on it but the program, the kernel's file
// systems, and the files given: no systemd, D-Bus, RAUC, LED, /media or /var.
// It returns the daemon's log and status while it runs, and then stops it.
func odd(t *testing.T, lines string, given files) (log string, st agent.Status) {
	t.Helper()
	need.Root(t)
	need.Tool(t, "unshare")
	text, err := static()
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.MkdirTemp("/var/tmp", "usbagent-odd-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"proc", "sys", "dev", "bin", "run"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range given {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "bin/usbagent"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(root, "run/log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-ec",
		"cd "+root+"; mount --bind . "+root+"; cd "+root+"; mount --bind run run; mount -t proc proc proc; mount --rbind /sys sys; mount --rbind /dev dev; "+lines+"; exec chroot . /bin/usbagent run")
	cmd.Stdout, cmd.Stderr, cmd.Env = out, out, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := false
	for end := time.Now().Add(patience); !ready && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		st, err = agent.ReadStatus(filepath.Join(root, "run/usbagent/status.json"))
		ready = err == nil && st.State == "idle" && st.Running
	}
	cmd.Process.Signal(syscall.SIGTERM)
	err = cmd.Wait()
	said, _ := os.ReadFile(out.Name())
	if !ready || err != nil {
		t.Errorf("ready: %v; it ended with %v:\n%s", ready, err, said)
	}
	t.Logf("log:\n%s", said)
	return string(said), st
}

func TestFirstBootWithNothing(t *testing.T) {
	log, _ := odd(t, ":", nil)
	if strings.Count(log, lacks) != 1 {
		t.Fatal("what is missing is not in one line")
	}
	for _, what := range []string{"configuration /etc/usbagent/config.toml (the defaults apply)", "keyring /etc/rauc/keyring.pem", "RAUC's /etc/rauc/system.conf",
		"the D-Bus system bus", "systemd (", "a LED that is known"} {
		if !strings.Contains(log, what) {
			t.Errorf("the log does not say that it lacks %s", what)
		}
	}
}

// TestFirstBootAllReadOnly is a root file system that is read-only as a whole.
func TestFirstBootAllReadOnly(t *testing.T) {
	log, _ := odd(t, "mount -o remount,bind,ro "+".", nil)
	for _, what := range []string{"a writable /etc/rauc", "a writable /var/cache/usb-autorun", "sticks are mounted elsewhere", "state directory cannot be used"} {
		if !strings.Contains(log, what) {
			t.Errorf("the log does not tell: %s", what)
		}
	}
}

func TestFirstBootBrokenConfiguration(t *testing.T) {
	for name, text := range map[string]string{
		"syntax": "[mount]\nroot = \"/media\n", "bytes": "\x00\xff\xfe\n", "values": "[led]\nbackend = 7\n[mont]\nroot = \"/x\"\n", "security": "[signature]\ncheck_purpose = \"all\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			log, st := odd(t, ":", files{"etc/usbagent/config.toml": text})
			if !strings.Contains(log, "configuration: ") || !strings.Contains(st.ConfigError, "config.toml:") {
				t.Errorf("the mistake is not told: config_error %q", st.ConfigError)
			}
		})
	}
}
