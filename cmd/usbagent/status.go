// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"usbagent/agent"
	"usbagent/ledger"
)

// StatusCmd is "usbagent status".
type StatusCmd struct {
	Path   string
	JSON   bool
	Follow bool
	Last   int
}

func (c *StatusCmd) command() *command {
	cmd := leaf("status [flags]", "Show the state of the running agent and the last sticks.", onBoard, c.Run)
	c.Path, c.Last = defaultStatus, 5
	flag{"path", "", "FILE", "Where the agent writes its state."}.text(cmd, &c.Path)
	flag{"json", "", "", "For programs: the agent's own JSON."}.toggle(cmd, &c.JSON)
	flag{"follow", "f", "", "Show it again whenever it changes, until interrupted."}.toggle(cmd, &c.Follow)
	flag{"last", "n", "N", "How many of the last sticks to show; 0: all of the kept 50."}.number(cmd, &c.Last)
	return cmd
}

// Run reads and shows status.json. That no agent runs is a "no".
func (c *StatusCmd) Run() error {
	now, err := c.look()
	if err == nil {
		err = c.show(now)
	}
	if !c.Follow || err != nil && !errors.As(err, new(no)) {
		return err
	}
	for {
		if err != nil && !c.JSON {
			fmt.Println(plain(err.Error()))
		}
		if now, err = c.next(now); err != nil {
			return err
		}
		if err = c.show(now); err != nil && !errors.As(err, new(no)) {
			return err
		}
	}
}

// sight is what there is to see of the agent.
type sight struct {
	text  string // of status.json, "" where there is none
	alive bool
}

func (c *StatusCmd) look() (sight, error) {
	text, err := readStatus(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return sight{}, nil
	}
	if err != nil {
		return sight{}, err
	}
	var s agent.Status
	return sight{string(text), json.Unmarshal(text, &s) == nil && s.Alive()}, nil
}

// next returns what there is to see when that is no longer what was seen. It
// looks four times a second: the file is replaced as a whole, so there is none
// to wait on.
func (c *StatusCmd) next(seen sight) (sight, error) {
	for {
		time.Sleep(250 * time.Millisecond)
		now, err := c.look()
		if err != nil || now != seen {
			return now, err
		}
	}
}

// show prints one state. On a terminal that is followed it takes the place of
// the one before.
func (c *StatusCmd) show(now sight) error {
	if now.text == "" {
		return no{fmt.Errorf("the agent is not running: there is no %s (systemctl status usbagent tells more)", c.Path)}
	}
	var s agent.Status
	if err := json.Unmarshal([]byte(now.text), &s); err != nil {
		return fmt.Errorf("%s is damaged: %w; it is written anew when the agent is restarted", c.Path, err)
	}
	dead := agentGone(s)
	if c.JSON {
		if s.Running && dead != nil {
			s.Running = false
			return errors.Join(dead, printJSON(s))
		}
		_, err := os.Stdout.WriteString(now.text)
		return errors.Join(err, dead)
	}
	switch {
	case c.Follow && colourful:
		fmt.Print("\x1b[H\x1b[2J")
	case c.Follow:
		fmt.Println()
	}
	fmt.Print(human(s, dead, c.Last))
	return dead
}

// agentGone is nil where the agent that wrote s runs.
func agentGone(s agent.Status) error {
	switch {
	case s.Alive():
		return nil
	case s.Running:
		return no{fmt.Errorf("the agent is not running: process %d has died; journalctl -u usbagent tells why", s.PID)}
	}
	return no{errors.New("the agent is not running: it was stopped")}
}

// readStatus reads the file of a running agent.
func readStatus(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, agent.MaxStatusSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > agent.MaxStatusSize {
		return nil, fmt.Errorf("%s is larger than %d bytes: no agent wrote that", path, agent.MaxStatusSize)
	}
	return text, nil
}

// human writes the status with the last sticks, all of them where last is 0.
func human(s agent.Status, dead error, last int) string {
	var b strings.Builder
	state := stateText(s)
	if dead != nil {
		state = paint(red, "not running")
	}
	fmt.Fprintf(&b, "usbagent %s: %s\n", word(s.Version), state)
	for problem := range strings.Lines(s.ConfigError) {
		fmt.Fprintf(&b, "configuration: %s\n", word(strings.TrimSuffix(problem, "\n")))
	}
	sticks := s.Sticks
	if last > 0 && len(sticks) > last {
		sticks = sticks[len(sticks)-last:]
		fmt.Fprintf(&b, "\n(%d earlier sticks are not shown, see --last)\n", len(s.Sticks)-last)
	}
	if len(sticks) == 0 {
		b.WriteString("No stick has been seen.\n")
	}
	for _, stick := range sticks {
		writeStick(&b, stick)
	}
	return b.String()
}

func stateText(s agent.Status) string {
	text := paint(stateColour(s.State), word(s.State))
	switch {
	case s.Progress != nil:
		return text + " " + progressBar(s.Progress.Percent) + " " + word(s.Progress.Message)
	case s.Busy != "":
		return text + ", at work: " + word(s.Busy)
	}
	return text
}

// progressBar is as wide as fits beside the rest of the line.
func progressBar(percent int) string {
	percent = max(0, min(100, percent))
	const width = 30
	full := percent * width / 100
	return fmt.Sprintf("[%s%s] %d%%", strings.Repeat("#", full), strings.Repeat(".", width-full), percent)
}

func writeStick(b *strings.Builder, s agent.StickStatus) {
	fmt.Fprintf(b, "\n%s", word(s.Device))
	for _, part := range []string{labelled(s.Label), word(s.Filesystem), word(s.Mountpoint)} {
		if part != "" {
			b.WriteString("  " + part)
		}
	}
	b.WriteString("  " + times(s.Stick) + "\n")
	if s.Waiting != "" {
		fmt.Fprintf(b, "  %s\n", word(s.Waiting))
	}
	rows := make([][]string, len(s.Steps))
	for i, step := range s.Steps {
		subject := step.File
		if subject == "" {
			subject = step.Device
		}
		rows[i] = []string{word(step.Step), word(subject), word(step.Result), word(step.Reason)}
	}
	writeTable(b, rows, 2, resultColour)
	if s.Code != 0 {
		fmt.Fprintf(b, "  %s\n", paint(red, fmt.Sprintf("LED code %d: %s", s.Code, agent.Meaning(s.Code))))
	}
}

func labelled(label string) string {
	if label == "" {
		return ""
	}
	return `"` + word(label) + `"`
}

// times tells when, by the board's clock, which may well be wrong.
func times(s ledger.Stick) string {
	at := s.Started.Local().Format(time.DateTime)
	if s.Finished.IsZero() {
		return at + ", not finished"
	}
	return fmt.Sprintf("%s, %.1f s", at, s.Finished.Sub(s.Started).Seconds())
}
