// SPDX-License-Identifier: GPL-3.0-or-later

package executedlist

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/test/faults"
	"usbagent/test/need"
)

func TestMain(m *testing.M) {
	faults.Main(m, map[string]faults.Prepare{
		"append": func(dir string) (func() error, error) {
			l := Open(listIn(dir), true)
			return func() error { return l.Append(b) }, nil
		},
	})
}

func listIn(dir string) string { return filepath.Join(dir, "usb-autorun", "executed.list") }

// starts are the states of the list before b is added.
var starts = map[string]func(dir string){
	"no directory": func(string) {},
	"no list":      func(dir string) { os.Mkdir(filepath.Dir(listIn(dir)), 0o755) },
	"a list": func(dir string) {
		os.Mkdir(filepath.Dir(listIn(dir)), 0o755)
		os.WriteFile(listIn(dir), []byte(hexA), 0o644) // its newline is missing
	},
}

// TestAppendWithFaults: killed or failing at every system call. What the list
// had stays; an Append that succeeds has written; one that fails, because of
// one fault, has left nothing that would keep the script from running later.
func TestAppendWithFaults(t *testing.T) {
	need.Root(t)
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			faults.Every(t, "append", start, func(t *testing.T, dir string, o faults.Outcome) {
				l := Open(listIn(dir), true)
				hasA, errA := l.Contains(a)
				hasB, errB := l.Contains(b)
				switch {
				case errA != nil || errB != nil:
					t.Errorf("%v: the list cannot be read: %v, %v", o, errA, errB)
				case hasA != (name == "a list"):
					t.Errorf("%v: the earlier sum: %v", o, hasA)
				case !o.Killed && o.Err == "" && !hasB:
					t.Errorf("%v: Append succeeded and the sum is not there", o)
				case o.Err != "" && hasB:
					t.Errorf("%v: Append failed (%s) and the sum is there", o, o.Err)
				}
				if err := l.Append(b); err != nil || !contains(t, l, b) {
					t.Errorf("%v: a further Append: %v", o, err)
				}
			})
		})
	}
}

// TestAppendAndPowerCuts: once Append has returned, the sum is on the disk, and
// whatever the list had stays.
func TestAppendAndPowerCuts(t *testing.T) {
	need.Root(t)
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			faults.PowerCuts(t, "append", start, func(t *testing.T, dir string, o faults.Outcome) {
				l := Open(listIn(dir), true)
				if contains(t, l, a) != (name == "a list") {
					t.Errorf("%v: the earlier sum: %v", o, name != "a list")
				}
				if !o.Killed && !contains(t, l, b) {
					t.Errorf("%v: Append had returned, and the sum is gone", o)
				}
				if err := l.Append(b); err != nil {
					t.Errorf("%v: a further Append: %v", o, err)
				}
			})
		})
	}
}

// TestAppendOrder: the line is synced, then the directory, before Append
// returns, and nothing is written after the sync.
func TestAppendOrder(t *testing.T) {
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			var order []string
			for _, c := range faults.Calls(t, "append", start) {
				switch c.Name {
				case "write", "fsync", "fdatasync", "mkdirat", "mkdir", "ftruncate":
					order = append(order, c.Name)
				case "openat":
					if strings.Contains(c.Text, "O_CREAT") {
						order = append(order, "create")
					}
				}
			}
			want := map[string]string{
				"no directory": "mkdirat fsync create write fsync fsync fsync", // parent; line; directory and parent
				"no list":      "create write fsync fsync fsync",
				"a list":       "write fsync fsync fsync",
			}[name]
			if got := strings.Join(order, " "); got != want {
				t.Errorf("order is %q, want %q", got, want)
			}
		})
	}
}
