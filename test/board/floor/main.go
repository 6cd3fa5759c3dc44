// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Command floor is what is left of the job when nothing is decided: it waits
// for the kernel's event of a disk, switches the LED on, waits for the event of
// its first partition, mounts that, reads every file and exits. No program that
// does the job can be much faster. It is here to be measured against.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

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
	return readAll()
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
