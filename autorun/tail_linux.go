// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

const (
	// MaxLastLines is how many lines of output are kept of a script that runs
	// in a session of its own.
	MaxLastLines = 50

	// maxTail bounds what is read of journalctl's output, in bytes.
	maxTail = MaxLastLines * (4*MaxLine + 1)

	// tailPatience is how long the journal may take to answer.
	tailPatience = 5 * time.Second
)

// LastLines returns the last lines, n at most, that the script printed, as
// Output would get them. It may be called once Wait has returned and before
// Release. A unit's lines come out of the journal, by journalctl: they may be
// fewer than were printed where the journal has dropped some.
func (x *Run) LastLines(ctx context.Context, n int) ([]string, error) {
	if x.record.Unit != "" {
		list, err := journalLines(ctx, x.record.Unit, n)
		if err != nil {
			return nil, fmt.Errorf("last lines of script %s: %w", x.record.ID, err)
		}
		return list, nil
	}
	return x.printed.last(n), nil
}

// tail keeps the last MaxLastLines lines. The zero value is ready for use.
type tail struct {
	mu   sync.Mutex
	list []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.list) == MaxLastLines {
		copy(t.list, t.list[1:])
		t.list = t.list[:MaxLastLines-1]
	}
	t.list = append(t.list, line)
}

func (t *tail) last(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.list[max(0, len(t.list)-n):]...)
}

// journalLines asks the journal for the last lines of a unit.
func journalLines(ctx context.Context, unit string, n int) ([]string, error) {
	program, err := exec.LookPath("journalctl")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, tailPatience)
	defer cancel()
	// What was printed last may still be on its way. Best effort: it needs a
	// journal that writes to a medium.
	_ = journal(ctx, program, "--sync").Run()
	cmd := journal(ctx, program, "--no-pager", "--quiet", "--output=cat", "--lines="+strconv.Itoa(n),
		"SYSLOG_IDENTIFIER="+SyslogIdentifier, "_SYSTEMD_UNIT="+unit)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(out, maxTail))
	io.Copy(io.Discard, out)
	var list []string
	cut := lines{emit: func(line string) { list = append(list, line) }}
	cut.write(text)
	cut.flush()
	return list[max(0, len(list)-n):], errors.Join(err, cmd.Wait())
}

// journal is journalctl with no environment of the agent's but the language.
func journal(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append([]string{"LC_ALL=C"}, loginEnvironment...)
	cmd.WaitDelay = time.Second
	return cmd
}
