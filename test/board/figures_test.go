// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usbagent/test/board/marks"
)

// figures are all that was measured in one run.
type figures struct {
	Idle idleFigures
	Ways map[string][]run
}

// markNames are the marks in the order in which they happen.
var markNames = []struct{ key, text string }{
	{"led", "LED on"}, {"mounted", "mounted"}, {"keyring", "keyring replaced"},
	{"script", "first line of autorun.sh"}, {"install", "InstallBundle called"}, {"done", "all done (last change of the LED)"},
}

// byFloor are the marks that the floor has: it replaces no keyring, and RAUC
// refuses what it hands over.
var byFloor = map[string]bool{"led": true, "mounted": true, "script": true, "install": true}

// median is NaN-free: a mark that never happened is -1.
func (f figures) median(way string, of func(run) (float64, bool)) float64 {
	var values []float64
	for _, r := range f.Ways[way] {
		if v, ok := of(r); ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return -1
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

func (f figures) mark(way, name string, of func(marks.Mark) float64) float64 {
	return f.median(way, func(r run) (float64, bool) {
		m, ok := r.Marks[name]
		return of(m), ok
	})
}

func at(m marks.Mark) float64        { return m.At }
func cpu(m marks.Mark) float64       { return m.CPU }
func processes(m marks.Mark) float64 { return float64(m.Processes) }

// String is the part of the page that is measured.
func (f figures) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Medians of %d runs each, milliseconds after the kernel's `add` event of the disk.\n\n", len(f.Ways["usbagent"]))
	b.WriteString("| mark | floor | usbagent | shell | shell / usbagent | usbagent / floor |\n|---|---|---|---|---|---|\n")
	for _, m := range markNames {
		floor, agent, shell := f.mark("floor", m.key, at), f.mark("usbagent", m.key, at), f.mark("shell", m.key, at)
		if !byFloor[m.key] {
			floor = -1
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", m.text, ms(floor), ms(agent), ms(shell), ratio(shell, agent), ratio(agent, floor))
	}
	b.WriteString("\n| until then | | floor | usbagent | shell | shell / usbagent |\n|---|---|---|---|---|---|\n")
	for _, m := range markNames {
		for _, row := range []struct {
			text string
			of   func(marks.Mark) float64
			show func(float64) string
		}{{"ms of processor", cpu, ms}, {"processes started", processes, count}} {
			floor, agent, shell := f.mark("floor", m.key, row.of), f.mark("usbagent", m.key, row.of), f.mark("shell", m.key, row.of)
			if !byFloor[m.key] {
				floor = -1
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", m.text, row.text, row.show(floor), row.show(agent), row.show(shell), ratio(shell, agent))
		}
	}
	f.rest(&b)
	return b.String()
}

// rest are the figures that have no marks.
func (f figures) rest(b *strings.Builder) {
	b.WriteString("\n| | usbagent | shell |\n|---|---|---|\n")
	bytes := func(r run) (float64, bool) { return float64(r.BytesRead), true }
	peak := func(r run) (float64, bool) { return float64(r.Peak), true }
	files := int64(0)
	for _, r := range f.Ways["usbagent"] {
		files = r.Files
	}
	fmt.Fprintf(b, "| bytes read from a stick with files of %d | %.0f | %.0f |\n", files, f.median("usbagent", bytes), f.median("shell", bytes))
	fmt.Fprintf(b, "| resident, idle (of it not the program's file) | %.1f MB (%.1f MB) | |\n", float64(f.Idle.Resident)/1e6, float64(f.Idle.Own)/1e6)
	fmt.Fprintf(b, "| the same of the process that waits for a script; both together, shared pages counted once | %.1f MB (%.1f MB); %.1f MB | |\n",
		float64(f.Idle.Waiting)/1e6, float64(f.Idle.WaitingOwn)/1e6, float64(f.Idle.Together)/1e6)
	fmt.Fprintf(b, "| resident, at most, with that stick | %.1f MB | |\n", f.median("usbagent", peak)/1e6)
	fmt.Fprintf(b, "| wakeups in an idle minute, without a watchdog / with the unit's | %d / %d | |\n", f.Idle.WakeupsWithoutWatchdog, f.Idle.Wakeups)
	fmt.Fprintf(b, "| binary, stripped | %.2f MB | |\n", float64(f.Idle.Binary)/1e6)
	if n := len(f.Idle.StartToReady); n > 0 {
		fmt.Fprintf(b, "| start of the process to ready, median of %d | %s ms | |\n", n, ms(f.Idle.StartToReady[n/2]))
	}
	fmt.Fprintf(b, "| kernel's start to ready (to the end of the boot) | %.1f s (%.1f s) | |\n", f.Idle.BootToReady, f.Idle.BootFinished)
}

func ms(seconds float64) string {
	if seconds < 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", seconds*1000)
}

func count(n float64) string {
	if n < 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", n)
}

func ratio(a, b float64) string {
	if a < 0 || b <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", a/b)
}

// A place is where in docs/performance.md figures stand: between two lines.
type place struct{ begin, end string }

var (
	ofSticks  = place{"<!-- figures: make bench writes what follows -->\n", "<!-- end of figures -->"}
	ofHashing = place{"<!-- hashing: make bench-hash writes what follows -->\n", "<!-- end of hashing -->"}
)

// cut returns what stands before the place in page, in it, and behind it.
func (p place) cut(page string) (head, text, foot string, err error) {
	head, rest, ok := strings.Cut(page, p.begin)
	text, foot, ok2 := strings.Cut(rest, p.end)
	if !ok || !ok2 {
		return "", "", "", fmt.Errorf("no place for figures between %q and %q", p.begin, p.end)
	}
	return head, text, foot, nil
}

// replace puts text there.
func (p place) replace(page, text string) error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	head, _, foot, err := p.cut(string(old))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(head+p.begin+"\n"+text+"\n"+p.end+foot), 0o644)
}

func TestMedianAndPage(t *testing.T) {
	mark := func(at float64) run {
		return run{Result: marks.Result{Marks: map[string]marks.Mark{"led": {At: at}}}}
	}
	f := figures{Ways: map[string][]run{"usbagent": {mark(0.004), mark(0.001), mark(0.002)}, "shell": {mark(0.1), mark(0.3)}}}
	if got := f.mark("usbagent", "led", at); got != 0.002 {
		t.Errorf("median %v", got)
	}
	if text := f.String(); !strings.Contains(text, "| LED on |  | 2.0 | 200.0 | 100.0 |  |") {
		t.Errorf("no line for the LED:\n%s", text)
	}
	page := t.TempDir() + "/page.md"
	os.WriteFile(page, []byte("before\n"+ofSticks.begin+"old\n"+ofSticks.end+"\nafter\n"), 0o644)
	if err := ofSticks.replace(page, "new"); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(page); string(text) != "before\n"+ofSticks.begin+"\nnew\n"+ofSticks.end+"\nafter\n" {
		t.Errorf("page %q", text)
	}
	if err := ofHashing.replace(page, "new"); err == nil {
		t.Error("a page without the place is no error")
	}
}

// TestPageHasFigures: nothing stands in for what was to be measured.
func TestPageHasFigures(t *testing.T) {
	page, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []place{ofSticks, ofHashing} {
		if _, text, _, err := p.cut(string(page)); err != nil || strings.Count(text, "\n| ") < 5 {
			t.Errorf("%v: %q, %v", p, text, err)
		}
	}
	if word := regexp.MustCompile(`(?m)^[A-Z_]+$`).Find(page); word != nil {
		t.Errorf("%s is no sentence", word)
	}
}
