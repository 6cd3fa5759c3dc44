// SPDX-License-Identifier: GPL-3.0-or-later

// Package marks finds out from a trace of the emulated board's kernel when what
// happened to a stick, how much of the processor it took until then, and how
// many processes were started. Read is all of it.
package marks

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Mark is something that happens to a stick.
type Mark struct {
	At        float64 // seconds after the kernel's event for the disk
	CPU       float64 // seconds that anything but the bench itself ran since then
	Processes int     // started since then
}

// Result is what a trace says. Marks are by name: "led", "mounted", "keyring",
// "script", "install", and "done", the last change of the LED; one that did not
// happen is missing.
type Result struct {
	Marks map[string]Mark
	// Ran is the time in seconds that each program had the processor until the
	// first line of the script, by name, and RanLater from then until the image
	// was handed over.
	Ran, RanLater map[string]float64
	// Lost says that the buffer was too small.
	Lost bool
}

// Shares are the programs that ran longest, in milliseconds.
func Shares(ran map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(ran), func(a, b string) int { return cmp.Compare(ran[b], ran[a]) })
	var b strings.Builder
	for _, name := range names[:min(len(names), 12)] {
		fmt.Fprintf(&b, "%s %.1f, ", name, ran[name]*1000)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// ours are the programs of the bench, whose cost is nobody's.
var ours = map[string]bool{"guestd": true}

// led is the line of the yellow LED in the kernel's numbering: GPIO3, line 15.
const led = "79 set "

// reader follows the trace from its first line to its last.
type reader struct {
	result  Result
	began   float64 // 0: no disk yet
	ran     float64
	process int
	since   float64 // when the running program got the processor
}

// event is one line of a trace.
type event struct {
	program string // which had the processor
	at      float64
	name    string
	text    string
}

// Read reads a trace in the form of tracefs's file "trace".
func Read(r io.Reader) (Result, error) {
	t := reader{result: Result{Marks: map[string]Mark{}, Ran: map[string]float64{}, RanLater: map[string]float64{}}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			if in, written, ok := counts(line); ok {
				t.result.Lost = in < written
			}
			continue
		}
		if e, ok := parse(line); ok {
			t.take(e)
		}
	}
	return t.result, lines.Err()
}

// counts reads "# entries-in-buffer/entries-written: 1/2   #P:1".
func counts(line string) (in, written int, ok bool) {
	n, _ := fmt.Sscanf(line, "# entries-in-buffer/entries-written: %d/%d", &in, &written)
	return in, written, n == 2
}

// parse reads "  program-123   [000] d..2.   12.345678: event: text".
func parse(line string) (e event, ok bool) {
	head, rest, ok := strings.Cut(line, " [0")
	if !ok {
		return e, false
	}
	head = strings.TrimSpace(head)
	dash := strings.LastIndexByte(head, '-')
	words := strings.SplitN(strings.TrimSpace(rest), " ", 2)
	if dash < 0 || len(words) < 2 {
		return e, false
	}
	e.program = head[:dash]
	flags, rest, ok := strings.Cut(strings.TrimSpace(words[1]), " ")
	if !ok || flags == "" {
		return e, false
	}
	stamp, rest, ok := strings.Cut(strings.TrimSpace(rest), ": ")
	if !ok {
		return e, false
	}
	var err error
	if e.at, err = strconv.ParseFloat(stamp, 64); err != nil {
		return e, false
	}
	if e.name, e.text, ok = strings.Cut(rest, ": "); !ok { // "sys_mount -> 0x0"
		e.name, e.text, ok = strings.Cut(rest, " ")
	}
	return e, ok
}

func (t *reader) take(e event) {
	if e.name == "sched_switch" {
		t.switched(e)
		return
	}
	if t.began == 0 {
		if e.name == "uevent" && value(e.text, "action") == "0" && isDisk(value(e.text, "name")) {
			t.began, t.since = e.at, e.at
		}
		return
	}
	if e.name == "task_newtask" {
		t.started(e)
		return
	}
	now := Mark{At: e.at - t.began, CPU: t.soFar(e), Processes: t.process}
	if e.name == "gpio_value" && strings.HasPrefix(e.text, led) {
		t.result.Marks["done"] = now // the last one that there is
	}
	if name := markOf(e); name != "" {
		if _, there := t.result.Marks[name]; !there {
			t.result.Marks[name] = now
		}
	}
}

// markOf says which mark an event is, where it is the first of its kind.
func markOf(e event) string {
	switch {
	case e.name == "gpio_value" && e.text == led+"1":
		return "led"
	case e.name == "sys_move_mount" || e.name == "sys_mount":
		if e.text == "-> 0x0" && (e.program == "usbagent" || e.program == "mount" || e.program == "floor") {
			return "mounted"
		}
	case e.name == "rename" && strings.HasSuffix(value(e.text, "to"), "/keyring.pem"),
		e.name == "tracing_mark_write" && e.text == "keyring":
		return "keyring"
	case e.name == "tracing_mark_write" && e.text == "script":
		return "script"
	case e.name == "task_rename" && strings.Contains(e.text, "newcomm=installer"):
		return "install"
	}
	return ""
}

// switched adds up who had the processor.
func (t *reader) switched(e event) {
	if t.began == 0 {
		return
	}
	name := between(e.text, "prev_comm=", " prev_pid=")
	if between(e.text, "prev_pid=", " ") != "0" {
		if !t.passed("script") {
			t.result.Ran[name] += e.at - t.since
		} else if !t.passed("install") {
			t.result.RanLater[name] += e.at - t.since
		}
		if !ours[name] {
			t.ran += e.at - t.since
		}
	}
	t.since = e.at
}

// passed reports whether a mark has been seen.
func (t *reader) passed(mark string) bool {
	_, there := t.result.Marks[mark]
	return there
}

// soFar is the processor's time until an event, that of the running program
// included.
func (t *reader) soFar(e event) float64 {
	if ours[e.program] || e.program == "<idle>" {
		return t.ran
	}
	return t.ran + e.at - t.since
}

// cloneThread is CLONE_THREAD of clone(2).
const cloneThread = 0x10000

// started counts new processes, threads and the kernel's own aside.
func (t *reader) started(e event) {
	flags, err := strconv.ParseUint(value(e.text, "clone_flags"), 16, 64)
	if err == nil && flags&cloneThread == 0 && e.program != "kthreadd" && !ours[e.program] {
		t.process++
	}
}

func isDisk(name string) bool {
	return len(name) == 3 && strings.HasPrefix(name, "sd")
}

// value is what follows "key=" in an event's text, without quotes.
func value(text, key string) string {
	_, rest, ok := strings.Cut(" "+text, " "+key+"=")
	if !ok {
		return ""
	}
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		text, _, _ := strings.Cut(quoted, `"`)
		return text
	}
	word, _, _ := strings.Cut(rest, " ")
	return word
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	got, _, _ := strings.Cut(rest, to)
	return got
}
