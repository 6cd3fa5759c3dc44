// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
)

// The benchmarks of this file show how costs grow: time and memory for each
// unit stay the same in every line (docs/performance.md).

// BenchmarkGrowSticks looks for all sticks, as at start and after a lost event.
func BenchmarkGrowSticks(b *testing.B) {
	for _, n := range []int{1, 4, 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			root := plantLoop(b, "loop0", nil)
			for i := 1; i < n; i++ {
				growLoop(b, root, fmt.Sprintf("loop%d", i), 0)
			}
			b.ReportAllocs()
			for b.Loop() {
				if disks, err := Scan(root, []string{BusLoop}); err != nil || len(disks) != n {
					b.Fatal(len(disks), err)
				}
			}
			perUnit(b, n)
		})
	}
}

// BenchmarkGrowPartitions looks at one stick again, as after an event of it.
func BenchmarkGrowPartitions(b *testing.B) {
	for _, n := range []int{1, 8, 32} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			root := b.TempDir()
			growLoop(b, root, "loop0", n)
			b.ReportAllocs()
			for b.Loop() {
				if d, ok, err := Refresh(root, "loop0", []string{BusLoop}); err != nil || !ok || len(d.Partitions) != n {
					b.Fatal(len(d.Partitions), err)
				}
			}
			perUnit(b, n)
		})
	}
}

// BenchmarkGrowEvents takes a burst of captured events, until whoever waits
// looks: each disk is kept once.
func BenchmarkGrowEvents(b *testing.B) {
	messages := datagrams(b, "usb")
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p := pending{ready: make(chan struct{}, 1)}
				for i := range n {
					msg := messages[i%len(messages)]
					if !bytes.Contains(msg, subsystemBlock) {
						continue
					}
					if name, ok := headName(msg); ok && p.repeat(name) {
						continue
					}
					if name, seq, ok := blockEvent(msg); ok {
						p.add(name, seq)
					}
				}
				if hint, _, _ := p.take(); len(hint.Disks) > MaxPending {
					b.Fatal(len(hint.Disks))
				}
			}
			perUnit(b, n)
		})
	}
}

func perUnit(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/unit")
}

// growLoop adds a loop device with partitions to a tree.
func growLoop(b *testing.B, root, name string, partitions int) {
	b.Helper()
	dir := filepath.Join(root, "sys/devices/virtual/block", name)
	link(b, filepath.Join(root, "sys/block", name), "../devices/virtual/block/"+name)
	for attribute, value := range map[string]string{"dev": "7:0\n", "size": "2048\n", "ro": "0\n", "removable": "0\n", "diskseq": "4\n",
		"loop/backing_file": "/tmp/stick.img\n", "loop/autoclear": "0\n", "loop/sizelimit": "0\n"} {
		put(b, filepath.Join(dir, attribute), value)
	}
	for i := 1; i <= partitions; i++ {
		part := filepath.Join(dir, fmt.Sprintf("%sp%d", name, i))
		for attribute, value := range map[string]string{"dev": fmt.Sprintf("259:%d\n", i), "size": "64\n", "ro": "0\n", "partition": fmt.Sprintf("%d\n", i)} {
			put(b, filepath.Join(part, attribute), value)
		}
	}
}
