// SPDX-License-Identifier: GPL-3.0-or-later

package executedlist

import (
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkGrowList looks for a sum that is not in the list: the whole list is
// read, in the same memory whatever its length (docs/performance.md).
func BenchmarkGrowList(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "executed.list")
			var text strings.Builder
			for i := range n {
				fmt.Fprintf(&text, "%x\n", md5.Sum([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))
			}
			if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
				b.Fatal(err)
			}
			list := Open(path, true)
			b.ReportAllocs()
			for b.Loop() {
				if found, err := list.Contains([16]byte{}); found || err != nil {
					b.Fatal(found, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/unit")
		})
	}
}
