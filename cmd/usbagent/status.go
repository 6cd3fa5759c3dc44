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

	"github.com/spf13/cobra"
)

// maxStatusSize bounds status.json in bytes: 50 sticks with some hundred
// steps each stay far below.
const maxStatusSize = 16 << 20

// StatusCmd is "usbagent status".
type StatusCmd struct {
	Path   string
	JSON   bool
	Follow bool
	Last   int
}

func (c *StatusCmd) command() *cobra.Command {
	cmd := leaf("status [flags]", "Show the state of the running agent and the last sticks.", onBoard, c.Run)
	c.Path, c.Last = defaultStatus, 5
	flag{"path", "", "FILE", "Where the agent writes its state."}.text(cmd, &c.Path)
	flag{"json", "", "", "For programs: the agent's own JSON."}.toggle(cmd, &c.JSON)
	flag{"follow", "f", "", "Show it again whenever it changes, until interrupted."}.toggle(cmd, &c.Follow)
	flag{"last", "n", "N", "How many of the last sticks to show; 0: all of the kept 50."}.number(cmd, &c.Last)
	return cmd
}

// agentStatus is what is shown of status.json.
type agentStatus struct {
	State        string        `json:"state"`
	Version      string        `json:"version"`
	ConfigErrors oneOrMore     `json:"config_error"`
	Progress     *progress     `json:"progress"`
	Sticks       []stickStatus `json:"sticks"`
}

type progress struct {
	Percent int    `json:"percent"`
	Message string `json:"message"`
}

type stickStatus struct {
	Device     string       `json:"device"`
	Label      string       `json:"label"`
	Filesystem string       `json:"filesystem"`
	Mountpoint string       `json:"mountpoint"`
	Started    time.Time    `json:"started"`
	Finished   time.Time    `json:"finished"`
	Waiting    string       `json:"waiting"`
	Steps      []stepStatus `json:"steps"`
}

type stepStatus struct {
	Step   string `json:"step"`
	Device string `json:"device"`
	File   string `json:"file"`
	Result string `json:"result"`
	Reason string `json:"reason"`
}

// oneOrMore reads a string or a list of strings.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*o = strings.Split(one, "\n")
		if one == "" {
			*o = nil
		}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(o))
}

// Run reads and shows status.json. That there is none is a "no".
func (c *StatusCmd) Run() error {
	text, err := readStatus(c.Path)
	if err != nil {
		return err
	}
	if err := c.show(text); err != nil || !c.Follow {
		return err
	}
	return c.follow(text)
}

// follow shows every new content of the file. It looks at the file four times
// a second: the file is replaced as a whole, so there is none to wait on.
func (c *StatusCmd) follow(shown []byte) error {
	for {
		time.Sleep(250 * time.Millisecond)
		text, err := readStatus(c.Path)
		if err != nil {
			return err
		}
		if string(text) == string(shown) {
			continue
		}
		if !c.JSON {
			fmt.Println()
		}
		if err := c.show(text); err != nil {
			return err
		}
		shown = text
	}
}

func (c *StatusCmd) show(text []byte) error {
	var s agentStatus
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("%s is damaged: %w", c.Path, err)
	}
	if c.JSON {
		_, err := os.Stdout.Write(text)
		return err
	}
	fmt.Print(s.human(c.Last))
	return nil
}

// readStatus reads the file of a running agent.
func readStatus(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, no{fmt.Errorf("the agent is not running: there is no %s", path)}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxStatusSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxStatusSize {
		return nil, fmt.Errorf("%s is larger than %d bytes: no agent wrote that", path, maxStatusSize)
	}
	return text, nil
}

// human writes the status with the last sticks, all of them where last is 0.
func (s agentStatus) human(last int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "usbagent %s: %s\n", word(s.Version), s.stateText())
	for _, problem := range s.ConfigErrors {
		fmt.Fprintf(&b, "configuration: %s\n", word(problem))
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
		stick.human(&b)
	}
	return b.String()
}

func (s agentStatus) stateText() string {
	text := paint(stateColour(s.State), word(s.State))
	if s.Progress == nil {
		return text
	}
	percent := max(0, min(100, s.Progress.Percent))
	const width = 30
	full := percent * width / 100
	return fmt.Sprintf("%s [%s%s] %d%% %s", text,
		strings.Repeat("#", full), strings.Repeat(".", width-full), percent, word(s.Progress.Message))
}

func (s stickStatus) human(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s", word(s.Device))
	for _, part := range []string{labelled(s.Label), word(s.Filesystem), word(s.Mountpoint)} {
		if part != "" {
			b.WriteString("  " + part)
		}
	}
	b.WriteString("  " + s.times() + "\n")
	if s.Waiting != "" {
		fmt.Fprintf(b, "  waits for %s\n", word(s.Waiting))
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
}

func labelled(label string) string {
	if label == "" {
		return ""
	}
	return `"` + word(label) + `"`
}

// times tells when, by the board's clock, which may well be wrong.
func (s stickStatus) times() string {
	at := s.Started.Local().Format(time.DateTime)
	if s.Finished.IsZero() {
		return at + ", not finished"
	}
	return fmt.Sprintf("%s, %.1f s", at, s.Finished.Sub(s.Started).Seconds())
}
