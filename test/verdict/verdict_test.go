// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Package verdict compares what "usbagent check" says at the desk with what
// the real pipeline does, on many directories: a disagreement would be a stick
// that fails in the field although it was good at the desk, or the reverse.
package verdict

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usbagent/ledger"
	"usbagent/test/need"
	"usbagent/test/pki"
	"usbagent/test/raucbench"
)

// world is what all cases share: the program and the owners.
type world struct {
	t                          *testing.T
	dir, program               string
	vendor, customer, stranger *pki.PKI
	bench                      *raucbench.Bench // nil where no image is installed
	made                       int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	need.Root(t)
	need.Tool(t, "openssl")
	w := &world{t: t, dir: t.TempDir()}
	w.program = filepath.Join(w.dir, "usbagent")
	w.run("go", "build", "-o", w.program, "usbagent/cmd/usbagent")
	for name, p := range map[string]**pki.PKI{"vendor": &w.vendor, "customer": &w.customer, "stranger": &w.stranger} {
		made, err := pki.New(filepath.Join(w.dir, name), name)
		if err != nil {
			t.Fatal(err)
		}
		*p = made
	}
	return w
}

func (w *world) run(name string, args ...string) {
	w.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// board is a fresh board whose keyring is the vendor's.
type board struct{ dir, keyring, list, config string }

// settings of a board; %[1]s is its directory, %[2]s the installer.
const settings = `
[mount]
root = "%[1]s/media"
[keyring]
path = "%[1]s/keyring.pem"
[autorun]
executed_list = "%[1]s/cache/executed.list"
allow_volatile_list = true
max_size = "1MiB"
[board]
model = "Bench board"
serial = "S1"
[installer]
backend = "%[2]s"
reboot = false
[led]
backend = "none"
[state]
dir = "%[1]s/state"
[status]
path = "%[1]s/status.json"
`

func (w *world) board() board {
	w.t.Helper()
	w.made++
	b := board{dir: filepath.Join(w.dir, fmt.Sprintf("board-%d", w.made))}
	b.keyring, b.list, b.config = b.dir+"/keyring.pem", b.dir+"/cache/executed.list", b.dir+"/config.toml"
	backend := "none"
	if w.bench != nil {
		backend = "rauc"
	}
	check(w.t, os.MkdirAll(b.dir+"/cache", 0o755))
	check(w.t, os.WriteFile(b.config, fmt.Appendf(nil, settings, b.dir, backend), 0o644))
	check(w.t, os.Symlink(w.vendor.Keyring, b.keyring))
	return b
}

// outcome is what is compared. A reason is compared where a keyring or a script
// was refused; others hold what only one side can know.
type outcome struct{ step, file, result, reason string }

func outcomes(steps []ledger.Step) (list []outcome) {
	installs := slices.ContainsFunc(steps, func(s ledger.Step) bool { return s.Step == "image" && s.Result == "done" })
	for _, s := range steps {
		if s.Step == "mount" || s.Step == "image" && s.Result == "skipped" && installs {
			continue // beside one that installs, only the desk mentions it
		}
		o := outcome{s.Step, s.File, s.Result, ""}
		if s.Result == "refused" && s.Step != "image" {
			o.reason = s.Reason
		}
		list = append(list, o)
	}
	return list
}

// desk asks "usbagent check".
func (w *world) desk(b board, stick string) (list []outcome, code int) {
	w.t.Helper()
	args := []string{"check", "--json", "--keyring", b.keyring, "--config", b.config}
	if _, err := os.Stat(b.list); err == nil {
		args = append(args, "--executed-list", b.list)
	}
	if w.bench != nil {
		args = append(args, "--compatible", w.bench.Compatible)
	}
	out, status := w.output(nil, append(args, stick)...)
	var report struct {
		Code  int
		Steps []ledger.Step
	}
	if err := json.Unmarshal(out, &report); err != nil {
		w.t.Fatalf("check %s: %v: %s", stick, err, out)
	}
	if (status == 0) != (report.Code == 0) {
		w.t.Errorf("check %s: exit status %d with code %d", stick, status, report.Code)
	}
	return outcomes(report.Steps), report.Code
}

// field has the real pipeline at work.
func (w *world) field(b board, stick string) (list []outcome, code int) {
	w.t.Helper()
	args := []string{"process", "--config", b.config, "--run-dir", b.dir + "/run"}
	var env []string
	if w.bench != nil {
		args, env = append(args, "--rauc-conf", w.bench.Conf), w.bench.Env()
	}
	_, status := w.output(env, append(args, stick)...)
	l, err := ledger.Open(b.dir+"/state", "later")
	check(w.t, err)
	sticks := l.Sticks()
	if len(sticks) != 1 {
		w.t.Fatalf("process %s: %d sticks in the state directory", stick, len(sticks))
	}
	if (status == 0) != (sticks[0].Code == 0) {
		w.t.Errorf("process %s: exit status %d with code %d", stick, status, sticks[0].Code)
	}
	return outcomes(sticks[0].Steps), sticks[0].Code
}

func (w *world) output(env []string, args ...string) (out []byte, status int) {
	w.t.Helper()
	cmd := exec.Command(w.program, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 1) {
		w.t.Fatalf("%v: %v", cmd, err)
	}
	return out, cmd.ProcessState.ExitCode()
}

// compare asks both and complains about a disagreement.
func (w *world) compare(t *testing.T, b board, stick string) {
	t.Helper()
	desk, deskCode := w.desk(b, stick)
	field, fieldCode := w.field(b, stick)
	if !slices.Equal(desk, field) || deskCode != fieldCode {
		t.Errorf("desk:  %+v, code %d\nfield: %+v, code %d", desk, deskCode, field, fieldCode)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
