// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"usbagent/agent"
	"usbagent/config"
)

// BenchmarkGrowFiles searches the root directory of a stick that has so many
// files and nothing for a board (docs/performance.md).
func BenchmarkGrowFiles(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			for i := range n {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("picture-%06d.jpg", i)), nil, 0o644); err != nil {
					b.Fatal(err)
				}
			}
			o := agent.InspectOptions{Rules: agent.NewRules(config.Default(), "")}
			b.ReportAllocs()
			for b.Loop() {
				if in, err := agent.Inspect(b.Context(), dir, o); err != nil || len(in.Steps) != 0 {
					b.Fatal(in, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/unit")
		})
	}
}
