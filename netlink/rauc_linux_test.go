// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usbagent/test/need"
)

// TestRAUCInstallsUnseen: the real service installs a bundle from a loop
// device, and at no event of that device does it count as a stick.
func TestRAUCInstallsUnseen(t *testing.T) {
	need.Root(t)
	need.RAUC(t)
	dir := t.TempDir()
	bundle := makeBundle(t, dir)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+dir+"/bus")
	serve(t, dir+"/bus", "dbus-daemon", "--nofork", "--config-file="+dir+"/bus.conf")
	serve(t, "", "rauc", "--conf="+dir+"/system.conf", "--override-boot-slot=A", "service")
	s := listen(t, Options{})
	install := make(chan error, 1)
	go func() {
		out, err := installBundle(dir, bundle)
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		install <- err
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen := make(chan int, 1)
	go func() { seen <- watchFor(ctx, t, s, bundle) }()
	if err := <-install; err != nil {
		t.Error(err)
	}
	cancel()
	if n := <-seen; n == 0 {
		t.Error("no event of RAUC's loop device was seen: nothing was tested")
	}
}

// watchFor counts the hints at which a loop device had the backing file, and
// reports those at which it counted as a stick.
func watchFor(ctx context.Context, t *testing.T, s *Source, file string) (seen int) {
	for {
		h, err := s.Next(ctx)
		if err != nil {
			return seen
		}
		for _, name := range h.Disks {
			backing, _ := dir{path: "/sys/block/" + name}.raw("loop/backing_file")
			if d, ok, _ := Refresh("", name, []string{BusLoop}); ok && d.LoopFile == file {
				t.Errorf("RAUC's loop device counts: %+v", d)
			}
			if backing == file {
				seen++
			}
		}
	}
}

// makeBundle writes keys, configuration, slots and a plain bundle.
func makeBundle(t *testing.T, dir string) string {
	t.Helper()
	for name, content := range map[string]string{
		"bus.conf": `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=` + dir + `/bus</listen><policy context="default"><allow user="*"/><allow own="*"/>
<allow send_type="method_call"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`,
		"system.conf": "[system]\ncompatible=x\nbootloader=noop\nstatusfile=" + dir + "/status\nmountprefix=" + dir + "/mnt\n" +
			"[keyring]\npath=" + dir + "/cert.pem\ncheck-purpose=any\n" +
			"[slot.rootfs.0]\ndevice=" + dir + "/a\nbootname=A\ntype=raw\n[slot.rootfs.1]\ndevice=" + dir + "/b\nbootname=B\ntype=raw\n",
		"a": "", "b": "", "mnt/.keep": "",
		"in/manifest.raucm": "[update]\ncompatible=x\nversion=1\n[image.rootfs]\nfilename=root.img\n",
		"in/root.img":       strings.Repeat("usbagent", 1<<17),
	} {
		put(t, filepath.Join(dir, name), content)
	}
	for _, slot := range []string{"a", "b"} {
		if err := os.Truncate(filepath.Join(dir, slot), 2<<20); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "3650", "-keyout", dir+"/key.pem", "-out", dir+"/cert.pem")
	run(t, "rauc", "--cert="+dir+"/cert.pem", "--key="+dir+"/key.pem", "bundle", dir+"/in", dir+"/firmware.image")
	return dir + "/firmware.image"
}

// installBundle has the service install, once it is there.
func installBundle(dir, bundle string) ([]byte, error) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if exec.Command("rauc", "--conf="+dir+"/system.conf", "status").Run() == nil {
			break
		}
	}
	return exec.Command("rauc", "--conf="+dir+"/system.conf", "install", bundle).CombinedOutput()
}

// serve runs a daemon until the test ends, and waits for its socket.
func serve(t *testing.T, socket, name string, args ...string) {
	t.Helper()
	c := exec.Command(need.Tool(t, name), args...)
	var log strings.Builder
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, log.String())
		}
	})
	for end := time.Now().Add(20 * time.Second); socket != "" && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			return
		}
	}
}
