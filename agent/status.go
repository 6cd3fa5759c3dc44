// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"usbagent/ledger"
)

// Status is the content of status.json (docs/status.md). Strings that come from a
// stick are escaped and bounded; times are by the board's clock, which nobody
// trusts.
type Status struct {
	State       string        `json:"state"` // idle, processing, installing, failed
	Version     string        `json:"version"`
	PID         int           `json:"pid,omitempty"`
	Born        uint64        `json:"pid_started,omitempty"` // clock ticks from the kernel's start to the process's
	BootID      string        `json:"boot_id,omitempty"`     // the kernel's
	Running     bool          `json:"running"`               // false once the agent has ended properly
	Busy        string        `json:"busy,omitempty"`
	ConfigError string        `json:"config_error,omitempty"` // one mistake a line
	Progress    *Progress     `json:"progress,omitempty"`     // of an installation
	Updated     time.Time     `json:"updated"`
	Sticks      []StickStatus `json:"sticks"` // newest last
}

// StickStatus is one stick in status.json: those of the past, and those that
// are in.
type StickStatus struct {
	ledger.Stick
	Present bool `json:"present"`
}

// Progress is how far an installation is.
type Progress struct {
	Percent int    `json:"percent"`
	Message string `json:"message"`
}

// key tells the insertions apart.
func key(s ledger.Stick) string {
	return fmt.Sprint(s.BootID, s.DiskSeq, s.Device, s.Started.UnixNano())
}

// MaxStatusSize bounds the status.json that ReadStatus takes, in bytes.
const MaxStatusSize = 16 << 20

// ReadStatus reads a status.json.
func ReadStatus(path string) (Status, error) {
	f, err := os.Open(path)
	if err != nil {
		return Status{}, err
	}
	defer f.Close()
	var st Status
	if err := json.NewDecoder(io.LimitReader(f, MaxStatusSize)).Decode(&st); err != nil {
		return Status{}, fmt.Errorf("read %s: %w", path, err)
	}
	return st, nil
}

// write replaces path at one instant. It need not be durable: it lies on a
// volatile file system and says nothing after a restart.
func (st Status) write(path string) error {
	st.PID, st.Updated = os.Getpid(), time.Now()
	st.Born, st.BootID = self()
	if st.Sticks == nil {
		st.Sticks = []StickStatus{}
	}
	data, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	tmp := filepath.Join(filepath.Dir(path), ".status.json.new")
	if err := writeNew(tmp, append(data, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// self is when this process was started, and in which boot.
var self = sync.OnceValues(func() (born uint64, bootID string) { return birth(os.Getpid()), kernelBootID() })

// writeNew writes a file that everybody may read. What lies there, a leftover
// of a crash or somebody's link, is removed, never written through.
func writeNew(path string, data []byte) error {
	os.Remove(path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644) // whatever the umask
	}
	return errors.Join(err, f.Close())
}
