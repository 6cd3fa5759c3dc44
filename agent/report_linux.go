// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"usbagent/autorun"
	"usbagent/internal/logs"
	"usbagent/led"
	"usbagent/ledger"
	"usbagent/mount"
)

// ReceiptTimeout is how long writing a receipt to one file system may take
// before the device is left to itself.
const ReceiptTimeout = 30 * time.Second

// ReadBoard finds out what board this is. root is where proc, etc and usr are,
// "" for the real ones.
func ReadBoard(root string) Board {
	b := Board{Model: led.Model(root), Serial: led.Serial(root), Firmware: firmware(root)}
	if b.Serial != "" {
		return b
	}
	// machine-id(5): confidential, so a hash of it with a word of our own.
	id := firstLine(filepath.Join("/", root, "etc/machine-id"))
	b.Machine = fmt.Sprintf("machine-%.6x", sha256.Sum256([]byte("usbagent "+id)))
	return b
}

// firmware is the version of the firmware, as the board's documentation tells
// to read it, or the name of the operating system.
func firmware(root string) string {
	if version := firstLine(filepath.Join("/", root, "usr/share/secc/VERSION")); version != "" {
		return version
	}
	for line := range strings.Lines(head(filepath.Join("/", root, "etc/os-release"))) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return ""
}

func firstLine(path string) string {
	line, _, _ := strings.Cut(head(path), "\n")
	return strings.TrimSpace(line)
}

// head is the beginning of a small file, "" where there is none.
func head(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return ""
	}
	return string(text)
}

// leaveReceipt writes the receipt onto the stick, after all else is done. It
// changes nothing else: what goes wrong is a step of its own, without a code.
func (a *Agent) leaveReceipt(s *stick, restarting bool) {
	mounts := a.receiptMounts(s)
	if !a.Config.Report.OnStick || len(mounts) == 0 || a.receiptKnown(s) {
		return
	}
	a.occupy(s, "the receipt on "+s.describe())
	step := ledger.Step{Step: StepReport, Device: mounts[0].Device.Name, File: ReportDir}
	files, err := a.receipt(s, restarting).files()
	if err != nil {
		step.Result, step.Reason = Failed, err.Error()
		a.report(s, step, 0)
		return
	}
	var first error
	for _, m := range mounts {
		err := a.abandonable(s, ReceiptTimeout, func(func()) error {
			return m.Write(func(root *os.File) error { return deposit(root, files) })
		})
		if err == nil {
			step.Device, step.File, step.Result, step.Reason = m.Device.Name, ReportDir+"/"+files[0].name, Done, "receipt written"
			a.report(s, step, 0)
			return
		}
		if first == nil {
			first = fmt.Errorf("receipt not possible on %s: %w", m.Type, err)
		}
	}
	step.Result, step.Reason = Failed, first.Error()
	if errors.Is(first, mount.ErrWriteProtected) || errors.Is(first, mount.ErrReadOnlyType) {
		step.Result = Skipped
	}
	a.report(s, step, 0)
}

// identity is what is known of the board, with the serial number that scripts
// are told (board.serial, board.serial_command).
func (a *Agent) identity() Board {
	b := a.Board
	if b.Serial = a.rules.Serial(); b.Serial != "" {
		b.Machine = ""
	}
	return b
}

// receiptMounts are the mounts that a receipt may go to: the one with files
// for the board first. None for a stick that was pulled.
func (a *Agent) receiptMounts(s *stick) []*mount.Mount {
	used := make(map[string]bool)
	for _, v := range s.volumes {
		used[v.device] = !v.found.keyring.absent() || !v.found.script.absent() || len(v.found.images) > 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.gone || s.ctx.Err() != nil {
		return nil
	}
	list := slices.Clone(s.mounts)
	sort.SliceStable(list, func(i, j int) bool { return used[list[i].Device.Name] && !used[list[j].Device.Name] })
	return list
}

// receiptKnown reports whether the stick has a receipt of this board already
// that says what there is to say: a stick that stays in is handled again at
// each boot, and then has nothing new.
func (a *Agent) receiptKnown(s *stick) bool {
	a.mu.Lock()
	news := !s.atBoot || s.entry.Code != 0 || s.earlier.ID != "" && s.earlier.ID == a.outcome
	for _, step := range s.entry.Steps {
		news = news || step.Step != StepMount && step.Result != Skipped
	}
	a.mu.Unlock()
	if news {
		return false
	}
	name, found := a.identity().FileName()+".json", false
	for _, v := range s.volumes {
		root, ok := v.directory.(handle)
		there := false
		err := a.abandonable(s, ReadStall, func(func()) error {
			there = ok && hasReceipt(root, name)
			return nil
		})
		found = found || err == nil && there
	}
	return found
}

// receipt puts together what there is to say of s.
func (a *Agent) receipt(s *stick, restarting bool) Receipt {
	before := a.beforeRestart(s)
	now, board := a.installedPrints(), a.identity()
	a.mu.Lock()
	defer a.mu.Unlock()
	r := Receipt{
		Format: ReceiptFormat, Board: board, Agent: a.Version, Written: time.Now().UTC().Truncate(time.Second),
		Started: s.entry.Started.UTC().Truncate(time.Second), Device: s.entry.Device, Label: s.entry.Label, Filesystem: s.entry.Filesystem,
		Result: Done, Code: s.entry.Code, Meaning: Meaning(s.entry.Code), Restarting: restarting,
		Keyring: KeyringChange{Before: s.keyring, After: now},
		Steps:   slices.Clone(s.entry.Steps), Output: s.output, Earlier: before,
	}
	if r.Code != 0 {
		r.Result = Failed
	}
	return r
}

// beforeRestart is what an image on s did before this boot, nil for nothing.
func (a *Agent) beforeRestart(s *stick) *Earlier {
	e := s.earlier
	if e.ID == "" {
		return nil
	}
	if newest, ok := a.Ledger.ImageByID(e.ID); ok {
		e = newest
	}
	then := &Earlier{Image: Show(e.Name), Version: Show(e.Version), Started: e.Started, Result: e.Result, Reason: ShowMessage(e.Reason)}
	for _, past := range a.Ledger.Sticks() {
		if past.BootID == e.BootID && past.DiskSeq == e.DiskSeq && e.DiskSeq != 0 {
			then.Steps = past.Steps
		}
	}
	return then
}

// installedPrints are the fingerprints of the installed keyring; none where it
// cannot be used.
func (a *Agent) installedPrints() []string {
	installed, err := a.store.Installed()
	if err != nil {
		return nil
	}
	var list []string
	for _, c := range installed.Certificates() {
		list = append(list, c.Fingerprint.String())
	}
	return list
}

// keepOutput remembers the last lines of a script for the receipt.
func (a *Agent) keepOutput(ctx context.Context, s *stick, o *offer, run *autorun.Run) {
	if !a.Config.Report.OnStick {
		return
	}
	lines, err := run.LastLines(ctx, MaxReceiptLines)
	if err != nil {
		s.log.Warn("the script's last lines are not in the receipt", logs.Error(err))
		lines = []string{"(not available)"}
	}
	s.output = append(s.output, Output{Device: o.volume.device, Lines: lines})
}
