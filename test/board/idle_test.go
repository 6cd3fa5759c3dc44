// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// idleFigures are those of a board without a stick. Times are in seconds of the
// guest's clock, memory in bytes.
type idleFigures struct {
	BootToReady  float64   // from the kernel's start
	BootFinished float64   // systemd's last job, for comparison
	StartToReady []float64 // from the start of the process to its word that it is ready
	Resident     int64     // all pages
	Own          int64     // those that are not the program's file
	// The same of the process that waits for the next script, and the sum of
	// both with a shared page counted once.
	Waiting, WaitingOwn, Together int64
	// Wakeups in a minute, with the unit's watchdog and without one.
	Wakeups, WakeupsWithoutWatchdog int64
	Binary                          int64
}

func (s *station) idle() (f idleFigures) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.snap.Dir, "idle.json"))
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// ask runs a shell line that has to succeed.
func ask(ctx context.Context, b *Board, line string) (string, error) {
	status, out, err := b.Run(ctx, "sh", "-c", line)
	if err == nil && status != 0 {
		err = fmt.Errorf("%s: status %d: %s", line, status, out)
	}
	return strings.TrimSpace(out), err
}

// moments reads when the agent's process was started and when it was ready, in
// seconds since the kernel's start.
func moments(ctx context.Context, b *Board) (start, ready float64, err error) {
	out, err := ask(ctx, b, "systemctl show usbagent -p ExecMainStartTimestampMonotonic -p ActiveEnterTimestampMonotonic")
	return float64(number(out, "ExecMainStartTimestampMonotonic=")) / 1e6, float64(number(out, "ActiveEnterTimestampMonotonic=")) / 1e6, err
}

// atRest measures a board that has just booted, and brings the tools in.
func atRest(ctx context.Context, b *Board, tools []File) (f idleFigures, err error) {
	if _, f.BootToReady, err = moments(ctx, b); err != nil {
		return f, err
	}
	out, err := ask(ctx, b, "systemctl show -p FinishTimestampMonotonic; stat -c 'size=%s' /usr/bin/usbagent")
	if err != nil {
		return f, err
	}
	f.BootFinished, f.Binary = float64(number(out, "FinishTimestampMonotonic="))/1e6, number(out, "size=")
	for range 10 {
		if _, err := ask(ctx, b, "systemctl restart usbagent"); err != nil {
			return f, err
		}
		start, ready, err := moments(ctx, b)
		if err != nil {
			return f, err
		}
		f.StartToReady = append(f.StartToReady, ready-start)
	}
	slices.Sort(f.StartToReady)
	if err := bring(ctx, b, tools); err != nil {
		return f, err
	}
	if err := b.awaitUptime(ctx, SettledAfter); err != nil {
		return f, err
	}
	if f.WakeupsWithoutWatchdog, err = wakeups(ctx, b, "WatchdogSec=0"); err != nil {
		return f, err
	}
	if f.Wakeups, err = wakeups(ctx, b, ""); err != nil {
		return f, err
	}
	if err := f.memory(ctx, b); err != nil {
		return f, err
	}
	return f, quiet(ctx, b)
}

// ofEach prints a file of each of the agent's processes: its own, and the one
// that waits for the next script.
const ofEach = "set -- $(systemctl show -P MainPID usbagent 'usbagent-script-*.service'); [ $# = 2 ] || exit 1; for p; do cat /proc/$p/"

func (f *idleFigures) memory(ctx context.Context, b *Board) error {
	status, err := ask(ctx, b, ofEach+"status; done")
	if err != nil {
		return err
	}
	f.Resident, f.Own = number(status, "VmRSS:")<<10, number(status, "RssAnon:")<<10
	_, second, _ := strings.Cut(strings.TrimPrefix(status, "Name:"), "Name:")
	f.Waiting, f.WaitingOwn = number(second, "VmRSS:")<<10, number(second, "RssAnon:")<<10
	shares, err := ask(ctx, b, ofEach+"smaps_rollup; done | awk '/^Pss:/ {n += $2} END {print \"n=\" n}'")
	f.Together = number(shares, "n=") << 10
	return err
}

// bring installs the tools from a stick of their own, which the agent sees as
// any other.
func bring(ctx context.Context, b *Board, tools []File) error {
	path := filepath.Join(b.dir, "tools.img")
	if err := WriteStick(path, "disk", Part{FileSystem: FileSystem{Type: "ext2", Files: tools}}); err != nil {
		return err
	}
	if _, err := ask(ctx, b, "systemctl stop usbagent"); err != nil {
		return err
	}
	stick := NewStick(path)
	if _, err := b.Plug(stick); err != nil {
		return err
	}
	if _, err := ask(ctx, b, prepare); err != nil {
		return err
	}
	if err := b.Pull(stick); err != nil {
		return err
	}
	_, err := ask(ctx, b, "i=0; while [ -b /dev/sda ]; do i=$((i+1)); [ $i -lt 300 ]; sleep 0.1; done; systemctl start usbagent; rm -f /run/udev/data/*sda*")
	return err
}

// wakeups counts the voluntary context switches of the threads of the agent's
// processes in a minute, with a line in its unit.
func wakeups(ctx context.Context, b *Board, line string) (int64, error) {
	const unit = "/run/systemd/system/usbagent.service.d"
	if _, err := ask(ctx, b, "mkdir -p "+unit+"; printf '[Service]\n"+line+"\n' >"+unit+"/bench.conf; systemctl daemon-reload; systemctl restart usbagent; sleep 15"); err != nil {
		return 0, err
	}
	const count = ofEach + "task/*/status; done | awk '/^voluntary/ {n += $2} END {print \"n=\" n}'"
	before, err := ask(ctx, b, count)
	if err != nil {
		return 0, err
	}
	if _, err := ask(ctx, b, "sleep 60"); err != nil {
		return 0, err
	}
	after, err := ask(ctx, b, count)
	return number(after, "n=") - number(before, "n="), err
}

// quiet lets the journal and the disks come to rest.
func quiet(ctx context.Context, b *Board) error {
	time.Sleep(3 * time.Second)
	_, err := ask(ctx, b, "sync")
	return err
}
