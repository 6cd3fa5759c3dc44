// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/term"

	"usbagent/advice"
	"usbagent/agent"
	"usbagent/config"
	"usbagent/executedlist"
	"usbagent/ledger"
	"usbagent/signature"
)

// CheckCmd is "usbagent check". The verdict is that of package agent, by the
// very decisions that the daemon takes; the findings are package advice's.
type CheckCmd struct {
	Keyring, Config, ExecutedList, Compatible string
	Model, Serial                             string

	JSON bool
	Dir  string
}

func (c *CheckCmd) command() *command {
	cmd := leaf("check [flags] DIR", "Tell what a board would do with a stick, and why; changes nothing.", atDesk, c.Run)
	operand(cmd, &c.Dir, "DIR", "the root directory of the stick; of a device or an image of one, only the format is looked at", 1)
	c.Keyring = defaultKeyring
	flag{"keyring", "", "FILE", "The keyring of the board."}.text(cmd, &c.Keyring)
	flag{"config", "", "FILE", "The configuration of the board (without: the defaults)."}.text(cmd, &c.Config)
	flag{"executed-list", "", "FILE", "The board's list of executed scripts (without: empty)."}.text(cmd, &c.ExecutedList)
	flag{"compatible", "", "TEXT", "What RAUC on the board calls it (compatible in its system.conf), to skip images for others."}.text(cmd, &c.Compatible)
	flag{"model", "", "TEXT", "The model of the board, for scripts that are meant for some (without: any)."}.text(cmd, &c.Model)
	flag{"serial", "", "TEXT", "The serial number of the board, for scripts that are meant for some (without: any)."}.text(cmd, &c.Serial)
	jsonFlag.toggle(cmd, &c.JSON)
	return cmd
}

// report is what "check --json" prints.
type report struct {
	Path     string           `json:"path"`
	Keyring  string           `json:"keyring,omitempty"`
	OK       bool             `json:"ok"`   // no step would be refused
	Code     int              `json:"code"` // flashes of the LED, 0: none
	Steps    []ledger.Step    `json:"steps"`
	Script   []string         `json:"script,omitempty"` // what it says about itself, in words
	Findings []advice.Finding `json:"findings"`
}

// Run checks. That a step would be refused is a "no".
func (c *CheckCmd) Run() error {
	info, err := os.Stat(c.Dir)
	if err != nil {
		return err
	}
	r := report{Path: c.Dir, Steps: []ledger.Step{}, Findings: []advice.Finding{}}
	if info.IsDir() {
		err = c.directory(&r)
	} else {
		err = probe(&r)
	}
	if err != nil {
		return err
	}
	r.OK = r.Code == 0
	if c.JSON {
		err = printJSON(r)
	} else {
		_, err = fmt.Print(r.human())
	}
	if err == nil && !r.OK {
		return no{}
	}
	return err
}

// directory fills in what a board would do with the directory, and what else
// is worth knowing about it.
func (c *CheckCmd) directory(r *report) error {
	o, err := c.board(r)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o.Progress = showProgress()
	inspection, err := agent.Inspect(ctx, c.Dir, o)
	if o.Progress != nil {
		clearLine()
	}
	if err != nil {
		return err
	}
	r.Steps, r.Code, r.Script = append(r.Steps, inspection.Steps...), inspection.Code, inspection.Said
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	findings, err := advice.Look(root.FS(), o.Fold)
	for _, f := range append(findings, confusions(root.FS(), o.Fold)...) {
		f.File = word(f.File)
		r.Findings = append(r.Findings, f)
	}
	return err
}

// board reads what the board has: keyring, settings, list.
func (c *CheckCmd) board(r *report) (o agent.InspectOptions, err error) {
	settings := config.Default()
	if c.Config != "" {
		if _, err := os.Stat(c.Config); err != nil {
			return o, err
		}
		loaded, problems := config.Load(c.Config)
		settings = loaded
		for _, p := range problems {
			r.Findings = append(r.Findings, advice.Finding{Weight: advice.Warning, File: c.Config, Message: p.String(),
				Advice: "usbagent run --check-config names each line"})
		}
	}
	if c.ExecutedList != "" {
		if _, err := os.Stat(c.ExecutedList); err != nil {
			return o, err
		}
		o.Executed = executedlist.Open(c.ExecutedList, true).Contains
	}
	o.Rules, o.Compatible, o.Fold = agent.NewRules(settings, version), c.Compatible, agent.Folds(c.Dir)
	if model := cmp.Or(c.Model, settings.Board.Model); model != "" {
		o.Rules.Model = func() string { return model }
	}
	if serial := cmp.Or(c.Serial, settings.Board.Serial); serial != "" {
		o.Rules.Serial = func() string { return serial }
	}
	r.Keyring = c.Keyring
	o.Keyring, err = readFile(c.Keyring, signature.MaxKeyringSize)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w (--keyring names the one of the board)", err)
	}
	return o, err
}

// showProgress returns what tells on a terminal how far a long file is, or nil.
func showProgress() func(file string, done, size int64) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	var last time.Time
	return func(file string, done, size int64) {
		if now := time.Now(); now.Sub(last) > 100*time.Millisecond && size > 0 {
			last = now
			fmt.Fprintf(os.Stderr, "\r%s: %d%% of %s", word(file), done*100/size, agent.Bytes(size))
		}
	}
}

func clearLine() { fmt.Fprintf(os.Stderr, "\r%79s\r", "") }

func (r report) human() string {
	var b strings.Builder
	b.WriteString("What a board would do with " + word(r.Path))
	if r.Keyring != "" {
		b.WriteString(", given " + word(r.Keyring))
	}
	b.WriteString(":\n")
	rows := make([][]string, len(r.Steps))
	for i, s := range r.Steps {
		rows[i] = []string{s.Step, word(s.File), s.Result, word(s.Reason)}
	}
	writeTable(&b, rows, 2, resultColour)
	if len(rows) == 0 {
		b.WriteString("  nothing\n")
	}
	b.WriteString(saying(r.Script))
	if len(r.Findings) > 0 {
		b.WriteString("\nWorth knowing:\n")
		rows = nil
		for _, f := range r.Findings {
			rows = append(rows, []string{f.File, string(f.Weight), f.Message + ": " + f.Advice})
		}
		writeTable(&b, rows, 1, resultColour)
	}
	b.WriteString("\n" + r.summary() + "\n")
	return b.String()
}

func (r report) summary() string {
	if r.OK {
		return paint(green, "No step would be refused.")
	}
	return paint(red, fmt.Sprintf("The LED would flash %d times, again and again: %s.", r.Code, agent.Meaning(r.Code)))
}
