// SPDX-License-Identifier: GPL-3.0-or-later

// Command capture is the init of a small QEMU guest that makes the test data
// of this package: it loads the modules named in /modules, records the
// kernel's uevents, and prints them and the part of sysfs that the package
// reads to the console. See README.md beside it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		os.MkdirAll(m[1], 0o755)
		unix.Mount(m[0], m[1], m[0], 0, "")
	}
	var mu sync.Mutex
	var events []string
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1})
	}
	if err != nil {
		fmt.Println("uevents:", err)
	}
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := unix.Read(fd, buf)
			if err != nil {
				continue
			}
			mu.Lock()
			events = append(events, fmt.Sprintf("%q", buf[:n]))
			mu.Unlock()
		}
	}()
	list, _ := os.ReadFile("/modules")
	for name := range strings.FieldsSeq(string(list)) {
		f, err := os.Open("/m/" + name)
		if err == nil {
			err = unix.FinitModule(int(f.Fd()), "", 0)
		}
		if err != nil {
			fmt.Println("module", name, err)
		}
	}
	time.Sleep(25 * time.Second)
	tree()
	fmt.Println("=== REMOVE")
	time.Sleep(8 * time.Second)
	mu.Lock()
	fmt.Println("=== EVENTS")
	for _, e := range events {
		if strings.Contains(e, `SUBSYSTEM=block\x00`) || strings.Contains(e, `SUBSYSTEM=usb\x00`) {
			fmt.Println("e " + e)
		}
	}
	fmt.Println("=== END")
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

// tree prints links as "l path target" and attributes as "f path quoted".
func tree() {
	fmt.Println("=== TREE")
	seen := map[string]bool{}
	attribute("/sys/module/block/parameters/events_dfl_poll_msecs", seen)
	disks, _ := os.ReadDir("/sys/block")
	for _, d := range disks {
		link("/sys/block/"+d.Name(), seen)
		at, _ := filepath.EvalSymlinks("/sys/block/" + d.Name())
		dump(at, 1, seen)
		for up := filepath.Dir(at); up != "/sys/devices" && up != "/"; up = filepath.Dir(up) {
			dump(up, 0, seen)
			interfaces, _ := filepath.Glob(up + "/*:*/bInterfaceClass")
			for _, i := range interfaces {
				dump(filepath.Dir(i), 0, seen)
			}
		}
	}
	fmt.Println("=== TREE END")
}

// attributes are those worth keeping; more only makes the files longer.
var attributes = []string{"dev", "size", "ro", "removable", "hidden", "diskseq", "partition", "events", "events_poll_msecs", "uevent",
	"type", "vendor", "model", "name", "idVendor", "idProduct", "bDeviceClass", "bNumInterfaces", "bInterfaceClass", "manufacturer", "product",
	"backing_file", "autoclear", "sizelimit"}

func dump(dir string, depth int, seen map[string]bool) {
	link(dir+"/subsystem", seen)
	link(dir+"/device", seen)
	for _, a := range attributes {
		attribute(dir+"/"+a, seen)
	}
	if depth == 0 {
		return
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() && (strings.HasPrefix(e.Name(), filepath.Base(dir)) || slices.Contains([]string{"loop", "holders"}, e.Name())) {
			dump(dir+"/"+e.Name(), depth-1, seen)
		}
	}
}

func link(path string, seen map[string]bool) {
	if target, err := os.Readlink(path); err == nil && !seen[path] {
		seen[path] = true
		fmt.Println("l", path, target)
	}
}

func attribute(path string, seen map[string]bool) {
	if b, err := os.ReadFile(path); err == nil && !seen[path] {
		seen[path] = true
		fmt.Printf("f %s %q\n", path, b)
	}
}
