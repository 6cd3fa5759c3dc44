// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import "testing"

// BenchmarkRefresh is what stands between an event and the mount, on the real
// sysfs.
func BenchmarkRefresh(b *testing.B) {
	name, _ := plug(b, stick(b))
	for b.Loop() {
		if _, ok, err := Refresh("", name, []string{BusLoop}); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkRefreshUSB is the same for a stick of twelve partitions, on a
// captured tree.
func BenchmarkRefreshUSB(b *testing.B) {
	root := plant(b, "usb")
	for b.Loop() {
		if _, ok, err := Refresh(root, "sdb", []string{BusUSB}); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkGlance is what stands between an event and the LED, for that stick.
func BenchmarkGlance(b *testing.B) {
	root := plant(b, "usb")
	for b.Loop() {
		if !Glance(root, "sdb") {
			b.Fatal("no USB disk")
		}
	}
}

// BenchmarkUnchanged is what each further event of that stick costs.
func BenchmarkUnchanged(b *testing.B) {
	root := plant(b, "usb")
	d, ok, err := Refresh(root, "sdb", []string{BusUSB})
	if !ok || err != nil {
		b.Fatal(ok, err)
	}
	for b.Loop() {
		if !Unchanged(root, d) {
			b.Fatal("changed")
		}
	}
}

func BenchmarkScan(b *testing.B) {
	root := plant(b, "usb")
	for b.Loop() {
		if _, err := Scan(root, []string{BusUSB}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvent(b *testing.B) {
	msg := datagrams(b, "usb")[30]
	for b.Loop() {
		blockEvent(msg)
	}
}

// BenchmarkRepeatedEvent is an event of a disk that waits already.
func BenchmarkRepeatedEvent(b *testing.B) {
	msg := datagrams(b, "usb")[30]
	p := pending{ready: make(chan struct{}, 1)}
	name, _ := headName(msg)
	p.add(name, 0)
	for b.Loop() {
		name, _ := headName(msg)
		p.repeat(name)
	}
}
