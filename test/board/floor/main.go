// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Command floor is what is left of the job when nothing is decided: it waits
// for the kernel's event of a disk, switches the LED on, waits for the event of
// its first partition, mounts that, reads every file, has systemd run the script
// in a unit of its own, hands the image to RAUC and exits. No program that does the
// job can be much faster. It is here to be measured against.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

const (
	led    = "/sys/class/leds/yellow:programming"
	target = "/media/floor"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return err
	}
	if _, err := added(fd, "disk"); err != nil {
		return err
	}
	if err := os.WriteFile(led+"/trigger", []byte("none"), 0); err != nil {
		return err
	}
	if err := os.WriteFile(led+"/brightness", []byte("1"), 0); err != nil {
		return err
	}
	name, err := added(fd, "partition")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("/dev/"+name, target, "vfat", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "utf8=1"); err != nil {
		return err
	}
	if err := readAll(); err != nil {
		return err
	}
	if err := script(); err != nil {
		return err
	}
	return install()
}

// added waits for the event of a new block device of that type and returns its
// name.
func added(fd int, kind string) (string, error) {
	buffer := make([]byte, 8192)
	for {
		n, err := unix.Read(fd, buffer)
		if err != nil {
			return "", err
		}
		event := buffer[:n]
		if !bytes.HasPrefix(event, []byte("add@")) || !bytes.Contains(event, []byte("\x00DEVTYPE="+kind+"\x00")) {
			continue
		}
		if _, rest, ok := bytes.Cut(event, []byte("\x00DEVNAME=")); ok {
			name, _, _ := strings.Cut(string(rest), "\x00")
			if strings.HasPrefix(name, "sd") {
				return name, nil
			}
		}
	}
}

func readAll() error {
	entries, err := os.ReadDir(target)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || strings.HasSuffix(e.Name(), ".image") {
			continue
		}
		f, err := os.Open(filepath.Join(target, e.Name()))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

type property struct {
	Name  string
	Value dbus.Variant
}

// script asks systemd itself, with no message bus in between, for a unit that
// runs the script, and waits until it says that the script has ended.
func script() error {
	conn, err := dbus.Dial("unix:path=/run/systemd/private")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		return err
	}
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	p := func(name string, value any) property { return property{name, dbus.MakeVariant(value)} }
	type execCommand struct {
		Path   string
		Args   []string
		Ignore bool
	}
	systemd := conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
	asked := systemd.Go("org.freedesktop.systemd1.Manager.StartTransientUnit", 0, nil, "floor-script.service", "fail", []property{
		p("Type", "oneshot"), p("WorkingDirectory", target),
		p("ExecStart", []execCommand{{"/bin/sh", []string{"sh", "autorun.sh"}, false}}),
	}, []struct {
		Name       string
		Properties []property
	}{})
	for answered := false; !answered; { // what systemd reads with the end of the greeting lies there until more comes
		select {
		case call := <-asked.Done:
			if call.Err != nil {
				return call.Err
			}
			answered = true
		case <-time.After(2 * time.Millisecond):
			systemd.Go("org.freedesktop.DBus.Peer.Ping", dbus.FlagNoReplyExpected, nil)
		}
	}
	for s := range signals {
		if s.Name == "org.freedesktop.systemd1.Manager.JobRemoved" && len(s.Body) > 2 && s.Body[2] == "floor-script.service" {
			return nil
		}
	}
	return io.ErrUnexpectedEOF
}

// install hands the image over. RAUC then refuses it, since nobody replaced the
// keyring, but that is after what is measured.
func install() error {
	images, err := filepath.Glob(target + "/*.image")
	if err != nil || len(images) == 0 {
		return err
	}
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		return err
	}
	defer bus.Close()
	return bus.Object("de.pengutronix.rauc", "/").Call("de.pengutronix.rauc.Installer.InstallBundle", 0, images[0], map[string]dbus.Variant{}).Err
}
