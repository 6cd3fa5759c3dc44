// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"usbagent/advice"
	"usbagent/agent"
	"usbagent/ledger"
	"usbagent/mount"
)

// probe looks at a device, or a file that is the image of one: can a board
// read its format?
func probe(r *report) error {
	f, err := os.Open(r.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	step := ledger.Step{Step: agent.StepMount, Device: word(r.Path), File: word(r.Path), Result: agent.Done}
	found, err := mount.Probe(f, size)
	switch {
	case errors.Is(err, mount.ErrPartitionTable):
		step.Result, step.Reason = agent.Skipped, "it has a partition table; a board looks at each partition"
	case err != nil:
		step.Result, step.Reason, r.Code = agent.Failed, err.Error(), agent.CodeUnreadable
	default:
		step.Reason = fmt.Sprintf("%s, label %q: a board can read this", found.Type, word(found.Label))
	}
	r.Steps = append(r.Steps, step)
	r.Findings = append(r.Findings, advice.Finding{Weight: advice.Note, File: word(r.Path),
		Message: "only the format was looked at", Advice: "mount it and check the directory to know the rest"})
	return nil
}
