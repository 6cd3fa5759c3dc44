// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"usbagent/internal/durable"
)

// The files of one run, in RunDir/script/ID (both directories 0700).
const (
	copyFile    = ScriptName   // the verified bytes, 0555
	recordFile  = "run.json"   // what Adopt must know
	markFile    = "executed"   // made immediately before the shell is executed
	exitFile    = "exit.json"  // how it ended, written by the supervisor
	controlFile = "agent.sock" // the supervisor's socket
	scriptDir   = "script"     // below RunDir
	maxJSONSize = 1 << 20      // bytes of a record, MaxFiles long paths included; longer is damaged
	modeCopy    = os.FileMode(0o555)
)

// validID tells what a Request.ID may look like, since it names a directory:
// up to 64 letters, digits, dots, dashes and underscores, the first no dot.
func validID(id string) bool {
	for i, c := range []byte(id) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
		if !letter && (c != '.' || i == 0) {
			return false
		}
	}
	return id != "" && len(id) <= 64
}

// validName tells what a Request.Name may look like: any case of ScriptName,
// so a word that needs no quoting anywhere.
func validName(name string) bool {
	return len(name) == len(ScriptName) && strings.EqualFold(name, ScriptName)
}

// record is run.json: how a later agent and the supervisor know what this run is.
type record struct {
	ID      string        `json:"id"`
	Kind    string        `json:"kind"`           // "unit" or "session"
	Unit    string        `json:"unit,omitempty"` // in which it runs
	Target  string        `json:"target"`
	Name    string        `json:"name"`
	Timeout time.Duration `json:"timeout,omitempty"`
	Payload []bound       `json:"payload,omitempty"`
}

// bound is a verified copy that lies over a file of the stick.
type bound struct {
	Path string `json:"path"` // below the root of the stick
	identity
}

// ending is exit.json.
type ending struct {
	Exit
	NotStarted string `json:"not_started,omitempty"` // why the shell was never executed
}

// makeDir makes the private directory of the run id and writes the verified
// bytes there.
func makeDir(runDir, id string, content []byte) (string, error) {
	if !validID(id) {
		return "", fmt.Errorf("script id %q: not a short plain word", id)
	}
	parent, err := makeParent(runDir)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(parent, id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("script %s: %w", id, ErrBusy)
		}
		return "", err
	}
	if err := writeCopy(filepath.Join(dir, copyFile), content); err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
}

// makeParent makes the private directory in which those of the runs are.
func makeParent(runDir string) (string, error) {
	parent := filepath.Join(runDir, scriptDir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	if err := os.Chmod(parent, 0o700); err != nil {
		return "", err
	}
	return parent, durable.CheckDir(parent)
}

// writeCopy writes content to a new file that nobody writes to afterwards.
func writeCopy(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o500)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(modeCopy)
	}
	return errors.Join(err, f.Close())
}

// wasExecuted reports whether the shell was executed. Where the directory is
// gone it was: the script is the only one to remove it.
func wasExecuted(dir string) bool {
	if _, err := os.Lstat(dir); err != nil {
		return true
	}
	_, err := os.Lstat(filepath.Join(dir, markFile))
	return err == nil
}

// neverExecuted is the ending of a run that has ended, if it never was a script;
// else its NotStarted is empty.
func neverExecuted(dir string) ending {
	end := readEnding(dir)
	if end.NotStarted == "" && !wasExecuted(dir) {
		end.NotStarted = "it ended before the shell was executed"
	}
	return end
}

func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(text, '\n'), 0o600)
}

func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxJSONSize+1))
	if err != nil {
		return err
	}
	if len(text) > maxJSONSize {
		return fmt.Errorf("%s: larger than %d bytes", path, maxJSONSize)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// readRecord reads the record of the run in dir and checks it as a Request is
// checked: a planted record must not lead anywhere.
func readRecord(dir string) (record, error) {
	var r record
	if err := readJSON(filepath.Join(dir, recordFile), &r); err != nil {
		return record{}, err
	}
	if r.ID != filepath.Base(dir) || r.Unit != "" && wordOfUnit(r.Unit) == "" || !validName(r.Name) || !filepath.IsAbs(r.Target) {
		return record{}, fmt.Errorf("%s: not a record of this run", filepath.Join(dir, recordFile))
	}
	if len(r.Payload) > MaxFiles || slices.ContainsFunc(r.Payload, func(b bound) bool { return CheckPath(b.Path) != nil }) {
		return record{}, fmt.Errorf("%s: not the payload of a script", filepath.Join(dir, recordFile))
	}
	return r, nil
}
