// SPDX-License-Identifier: GPL-3.0-or-later

// Package ledger remembers what happened: the last sticks, keyring changes,
// scripts that started and ended, images that were handed over. It is the
// state directory; the agent writes it, the status command and the
// decisions "was this stick handled in this boot", "did this script end" and
// "was this image installed before" read it.
//
// # Failure model
//
// Losing the ledger loses history and the memory against install loops, never
// safety: whether a script runs is decided by package executedlist, whether
// bytes are trusted by package signature. So nothing here is fatal. A file
// that is damaged, too large, or no regular file is set aside under the name
// *.damaged, told by Damaged, and begun anew. Where the directory cannot be
// written, the ledger still remembers in memory until the process ends, and
// every change returns the error.
//
// Each kind is one JSON file that is replaced durably: when a method returns
// nil, the entry outlives a power cut. All methods may be called from several
// goroutines, and from several processes (the daemon and "keyring restore").
package ledger

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"usbagent/internal/durable"
)

// How many entries of each kind are kept; the oldest are forgotten.
const (
	MaxSticks   = 50
	MaxKeyrings = 100
	MaxScripts  = 1000
	MaxImages   = 200
)

// MaxSteps is how many steps one stick keeps: the first ones.
const MaxSteps = 64

// MaxString is the length in bytes at which a string is cut when it is
// stored; what is cut ends in "…".
const MaxString = 512

// MaxFileSize bounds each file in bytes; the oldest entries give way.
const MaxFileSize = 4 << 20

// LockWait is how long a change waits for another process to finish its own.
const LockWait = 2 * time.Second

// Step is one thing done, or not done, with a stick, as in status.json.
type Step struct {
	Step   string `json:"step"` // "mount", "keyring", "autorun", "image"
	Device string `json:"device"`
	File   string `json:"file"`
	Result string `json:"result"` // "done", "skipped", "refused", "failed"
	Reason string `json:"reason"`
}

// Stick is one insertion of one disk, as in status.json.
type Stick struct {
	BootID     string    `json:"boot_id"`
	DiskSeq    uint64    `json:"diskseq"`
	Device     string    `json:"device"`
	Label      string    `json:"label"`
	Filesystem string    `json:"filesystem"`
	Mountpoint string    `json:"mountpoint"`
	AtBoot     bool      `json:"at_boot,omitempty"` // first seen at boot
	Started    time.Time `json:"started"`
	Finished   time.Time `json:"finished,omitzero"`
	Result     string    `json:"result,omitempty"`
	Code       int       `json:"code,omitempty"` // flashes of the LED; 0: none
	Waiting    string    `json:"waiting,omitempty"`
	Steps      []Step    `json:"steps"`
}

// Keyring is one change of the installed keyring. Before and After are
// fingerprints.
type Keyring struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action"` // "rotate", "restore", "repair"
	Before []string  `json:"before"`
	After  []string  `json:"after"`
	Signer string    `json:"signer,omitempty"`
	Stick  string    `json:"stick,omitempty"`
}

// Script is one start of one autorun.sh.
type Script struct {
	ID       string    `json:"id"`
	MD5      string    `json:"md5"` // lower-case hex
	SHA256   string    `json:"sha256"`
	Stick    string    `json:"stick"`
	Device   string    `json:"device"`
	BootID   string    `json:"boot_id"`
	DiskSeq  uint64    `json:"diskseq"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Finished bool      `json:"finished"` // its end was seen
	Status   int       `json:"status"`
	Signal   string    `json:"signal,omitempty"`
}

// Image is one image handed to the installer.
type Image struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Version    string    `json:"version"`
	Compatible string    `json:"compatible"`
	Path       string    `json:"path"` // where the installer read it
	Slot       string    `json:"slot"` // that boots next with it; several are separated by ", "
	BootID     string    `json:"boot_id"`
	DiskSeq    uint64    `json:"diskseq"`
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended,omitzero"`
	Result     string    `json:"result"` // "started", "installed", "arrived", "failed", "fell-back", "passed-over"
	Reason     string    `json:"reason,omitempty"`
	EndBootID  string    `json:"end_boot_id,omitempty"` // the boot in which Result became what it is
}

// Ledger is the open state directory.
type Ledger struct {
	dir, bootID string

	mu       sync.Mutex
	sticks   table[Stick]
	keyrings table[Keyring]
	scripts  table[Script]
	images   table[Image]
	damaged  []string
}

// Open opens the state directory dir, made with mode 0700 where it is
// missing. bootID is the kernel's (/proc/sys/kernel/random/boot_id); it marks
// what happens from now on. The Ledger can be used even when there is an
// error: it then keeps in memory what it cannot write. Nothing that lies in
// the directory is an error; see Damaged.
func Open(dir, bootID string) (*Ledger, error) {
	l := &Ledger{dir: dir, bootID: bootID}
	stores := []*store{
		l.sticks.init(l, "sticks.json", MaxSticks, (*Stick).bound),
		l.keyrings.init(l, "keyrings.json", MaxKeyrings, (*Keyring).bound),
		l.scripts.init(l, "scripts.json", MaxScripts, (*Script).bound),
		l.images.init(l, "images.json", MaxImages, (*Image).bound),
	}
	if err := durable.PrivateDir(dir); err != nil {
		return l, fmt.Errorf("open state directory: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	unlock, err := durable.Lock(filepath.Join(dir, lockName), LockWait)
	if err != nil {
		return l, fmt.Errorf("open state directory: %w", err)
	}
	defer unlock()
	for _, s := range stores {
		s.open()
	}
	return l, nil
}

const lockName = "lock"

// Damaged tells what was set aside or could not be read since Open, one
// sentence each.
func (l *Ledger) Damaged() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.damaged)
}

// PutStick stores s; an entry of the same boot, DISKSEQ and device is
// replaced. An empty BootID means this boot.
func (l *Ledger) PutStick(s Stick) error {
	if s.BootID == "" {
		s.BootID = l.bootID
	}
	s.Steps = slices.Clone(s.Steps)
	t := &l.sticks
	return t.change(func() error {
		old := t.last(func(x *Stick) bool { return x.BootID == s.BootID && x.DiskSeq == s.DiskSeq && x.Device == s.Device })
		if old != nil {
			*old = s
		} else {
			t.entries = append(t.entries, s)
		}
		return nil
	})
}

// Sticks lists the last sticks, oldest first.
func (l *Ledger) Sticks() []Stick { return l.sticks.all() }

// Seen returns the entry of this boot for the insertion diskSeq of device,
// finished or not. Without a DISKSEQ (0, kernels before 5.15) a new insertion
// cannot be told from an old one, so nothing counts as seen.
func (l *Ledger) Seen(diskSeq uint64, device string) (Stick, bool) {
	if diskSeq == 0 {
		return Stick{}, false
	}
	return l.sticks.newest(func(s *Stick) bool {
		return s.BootID == l.bootID && s.DiskSeq == diskSeq && s.Device == device
	})
}

// Handled is Seen for an insertion whose entry is finished.
func (l *Ledger) Handled(diskSeq uint64, device string) (Stick, bool) {
	s, ok := l.Seen(diskSeq, device)
	if !ok || s.Finished.IsZero() {
		return Stick{}, false
	}
	return s, true
}

// KeyringChanged stores one change of the keyring.
func (l *Ledger) KeyringChanged(k Keyring) error { return l.keyrings.add(k) }

// LastKeyring is the newest change of the keyring.
func (l *Ledger) LastKeyring() (Keyring, bool) {
	return l.keyrings.newest(func(*Keyring) bool { return true })
}

// Keyrings lists the changes of the keyring, oldest first.
func (l *Ledger) Keyrings() []Keyring { return l.keyrings.all() }

// ScriptStarted stores that a script is about to start. An empty BootID means
// this boot.
func (l *Ledger) ScriptStarted(s Script) error {
	if s.BootID == "" {
		s.BootID = l.bootID
	}
	s.MD5 = strings.ToLower(s.MD5)
	return l.scripts.add(s)
}

// ScriptEnded stores how the newest script with this id ended; signal is the
// name of the signal that ended it, if one did. An id that is not in the
// ledger (it was lost) is fs.ErrNotExist.
func (l *Ledger) ScriptEnded(id string, status int, signal string) error {
	return l.scripts.amend(id, func(s *Script) bool { return s.ID == cut(id) }, func(s *Script) {
		s.Finished, s.Ended, s.Status, s.Signal = true, time.Now(), status, signal
	})
}

// ScriptByMD5 is the newest start of the script with this MD5 (hex).
func (l *Ledger) ScriptByMD5(md5 string) (Script, bool) {
	md5 = strings.ToLower(md5)
	return l.scripts.newest(func(s *Script) bool { return s.MD5 == md5 })
}

// ScriptOf is the newest start in this boot of the script with this MD5 (hex)
// from one file system of one insertion. As for Seen, without a DISKSEQ there
// is none.
func (l *Ledger) ScriptOf(md5 string, diskSeq uint64, device string) (Script, bool) {
	if diskSeq == 0 {
		return Script{}, false
	}
	md5 = strings.ToLower(md5)
	return l.scripts.newest(func(s *Script) bool {
		return s.MD5 == md5 && s.BootID == l.bootID && s.DiskSeq == diskSeq && s.Device == device
	})
}

// Unfinished lists the scripts whose end was not stored, oldest first, of
// this and of earlier boots.
func (l *Ledger) Unfinished() []Script {
	return slices.DeleteFunc(l.scripts.all(), func(s Script) bool { return s.Finished })
}

// ImageStarted stores that an image is about to be handed over. An empty
// BootID means this boot, an empty Result "started".
func (l *Ledger) ImageStarted(i Image) error {
	if i.BootID == "" {
		i.BootID = l.bootID
	}
	if i.Result == "" {
		i.Result = "started"
	}
	return l.images.add(i)
}

// ImageEnded stores what became of the newest image with this id, and the slot
// it lies in. An id that is not in the ledger is fs.ErrNotExist.
func (l *Ledger) ImageEnded(id, result, slot, reason string) error {
	return l.images.amend(id, func(i *Image) bool { return i.ID == cut(id) }, func(i *Image) {
		i.Ended, i.Result, i.Slot, i.Reason, i.EndBootID = time.Now(), result, slot, reason, l.bootID
	})
}

// ImageByID is the newest entry of the image with this id.
func (l *Ledger) ImageByID(id string) (Image, bool) {
	return l.images.newest(func(i *Image) bool { return i.ID == cut(id) })
}

// Images lists what was handed over, oldest first.
func (l *Ledger) Images() []Image { return l.images.all() }
