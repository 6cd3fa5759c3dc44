// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/internal/durable"
	"usbagent/signature"
)

// Request is one script to run.
type Request struct {
	// ID names the run in the state directory and the run directory: 1 to 64
	// letters, digits, dots, underscores and hyphens, not beginning with a dot.
	ID string

	// Script holds the bytes to run.
	Script *signature.Verified

	// Name is the script's name as stored on the stick, ScriptName in any case.
	Name string

	// Target is the mount point, the script's working directory.
	Target string

	// Root is a handle of the directory Target, nil to open it by its path.
	// Start neither keeps nor closes it.
	Root *os.File

	// Timeout ends the script and its children; 0 means never.
	Timeout time.Duration

	// Payload is bound over the files of the stick as the script is; nil for
	// none. The caller closes it once Start has returned.
	Payload *Payload
}

// Runner starts and adopts scripts. At most one script runs at a time.
type Runner struct {
	// Output, unless nil, is called by Run.Wait with each line of a script
	// that runs in a session of its own: without the newline, printable, at
	// most MaxLine bytes of input each. Units write to the journal themselves.
	Output func(line string)

	runDir  string
	systemd *systemd // nil: sessions

	mu      sync.Mutex
	waiting *standby // made by Prepare, guarded by mu
}

// New returns the runner for this machine. runDir is a private directory of
// root's below which everything about the run is kept, normally /run/usbagent;
// it must not outlive a restart of the machine.
func New(runDir string) *Runner {
	r := &Runner{runDir: runDir}
	// sd_booted(3): this directory exists exactly where systemd is the init system.
	if info, err := os.Lstat("/run/systemd/system"); err == nil && info.IsDir() {
		r.systemd = &systemd{addresses: []string{busAddress(), privateAddress}}
	}
	return r
}

// UsesSystemd reports whether scripts become systemd units, and their output
// goes to the journal, not to Output.
func (r *Runner) UsesSystemd() bool { return r.systemd != nil }

// Notice returns what somebody should know about the run directory: that the
// private copies of scripts lie on a medium and not in memory. Empty if all is well.
func (r *Runner) Notice() string {
	path := r.runDir
	for path != "/" {
		if _, err := os.Stat(path); err == nil {
			break
		}
		path = filepath.Dir(path)
	}
	name, volatile, err := durable.FSType(path)
	if err != nil || volatile {
		return ""
	}
	return fmt.Sprintf("run directory %s lies on %s, not on tmpfs: verified scripts are written to it", r.runDir, name)
}

// Start runs the script of q and returns as soon as it runs; ctx bounds that
// only. Errors wrap ErrBusy, or ErrNotStarted, and then nothing is left behind.
func (r *Runner) Start(ctx context.Context, q Request) (*Run, error) {
	return r.start(ctx, q, q.Script.Bytes())
}

func (r *Runner) start(ctx context.Context, q Request, content []byte) (*Run, error) {
	run, err := r.prepare(q, content)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", filepath.Join(q.Target, q.Name), notStarted(err))
	}
	if r.systemd != nil {
		run.life, err = r.startUnit(ctx, run)
	} else {
		run.life, err = startSession(run.dir)
	}
	if err != nil {
		run.clean()
		return nil, fmt.Errorf("run %s: %w", filepath.Join(q.Target, q.Name), notStarted(err))
	}
	return run, nil
}

// startUnit has the script run in the unit that waits. Where that is gone,
// since somebody stopped it, another is made.
func (r *Runner) startUnit(ctx context.Context, run *Run) (life, error) {
	for {
		s, err := r.standby(ctx, func(name string) error {
			run.record.Unit = name
			return writeJSON(filepath.Join(run.dir, recordFile), run.record)
		})
		if err != nil {
			if s != nil {
				s.abandon()
			}
			return nil, err
		}
		life, err := s.run(ctx, run.dir)
		if err == nil || !s.used || !errors.Is(err, errGone) {
			return life, err
		}
		os.Remove(filepath.Join(run.dir, controlFile))
	}
}

// notStarted makes err wrap ErrNotStarted, unless it says more already.
func notStarted(err error) error {
	if errors.Is(err, ErrBusy) || errors.Is(err, ErrNotStarted) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotStarted, err)
}

// prepare writes the private copy and the record, and binds the copy over the
// name on the stick, and those of the payload over theirs.
func (r *Runner) prepare(q Request, content []byte) (*Run, error) {
	if !validName(q.Name) || !filepath.IsAbs(q.Target) {
		return nil, fmt.Errorf("script %q in %q: not an acceptable name", q.Name, q.Target)
	}
	others, err := r.runs()
	if err != nil {
		return nil, err
	}
	if len(others) > 0 {
		return nil, fmt.Errorf("script %s: %w", others[0], ErrBusy)
	}
	root := q.Root
	if root == nil {
		if root, err = openDir(q.Target); err != nil {
			return nil, err
		}
		defer root.Close()
	}
	dir, err := makeDir(r.runDir, q.ID, content)
	if err != nil {
		return nil, err
	}
	run := &Run{dir: dir, output: r.Output, record: record{ID: q.ID, Kind: r.kind(), Target: q.Target, Name: q.Name, Timeout: q.Timeout,
		Payload: q.Payload.bounds()}}
	if err := writeJSON(filepath.Join(dir, recordFile), run.record); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	err = bindCopy(root, q.Name, filepath.Join(dir, copyFile))
	if err == nil {
		err = q.Payload.bind(root)
	}
	if err != nil {
		run.clean()
		return nil, err
	}
	return run, nil
}

func (r *Runner) kind() string {
	if r.systemd != nil {
		return "unit"
	}
	return "session"
}

// runs lists the IDs that have a directory.
func (r *Runner) runs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(r.runDir, scriptDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var ids []string
	for _, entry := range entries {
		if entry.IsDir() && validID(entry.Name()) {
			ids = append(ids, entry.Name())
		}
	}
	return ids, nil
}

// Adopt finds a script that an earlier agent started and did not release: it
// may run still, or have ended meanwhile. It returns nil, nil when there is
// none (any more), so call it until it does. Remains of a start that was
// interrupted before anything ran are removed.
func (r *Runner) Adopt(ctx context.Context) (*Run, error) {
	ids, err := r.runs()
	if err != nil {
		return nil, fmt.Errorf("adopt script: %w", err)
	}
	for _, id := range ids {
		dir := filepath.Join(r.runDir, scriptDir, id)
		rec, err := readRecord(dir)
		if err != nil {
			os.RemoveAll(dir) // the record is written before anything runs
			continue
		}
		run := &Run{dir: dir, record: rec, output: r.Output}
		if run.life, err = r.lifeOf(ctx, dir, rec); err != nil {
			return nil, fmt.Errorf("adopt script %s: %w", id, err)
		}
		return run, nil
	}
	return r.adoptOrphan(ctx)
}

// lifeOf is what runs, or ran, for the record of an earlier agent.
func (r *Runner) lifeOf(ctx context.Context, dir string, rec record) (life, error) {
	switch {
	case rec.Kind != "unit":
		return &session{dir: dir}, nil
	case r.systemd == nil:
		return lost{dir: dir}, nil
	case rec.Unit == "": // nothing was told to run it, or an older agent did
		found, err := r.systemd.find(ctx)
		if name := unitName(rec.ID); err != nil || slices.Contains(found, name) {
			return &orphan{systemd: r.systemd, name: name, dir: dir}, err
		}
		return lost{dir: dir}, nil
	}
	u := &unit{session: session{dir: dir}, systemd: r.systemd, name: rec.Unit}
	u.adopt()
	return u, nil
}

// adoptOrphan finds a unit of an earlier agent whose directory was lost. One
// that only waits for a script is ended.
func (r *Runner) adoptOrphan(ctx context.Context) (*Run, error) {
	if r.systemd == nil {
		return nil, nil
	}
	found, err := r.systemd.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("adopt script: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	file := filepath.Join(r.runDir, scriptDir, standbyFile)
	waits, _ := os.ReadFile(file)
	for _, name := range found {
		switch {
		case r.waiting != nil && r.waiting.unit == name:
		case name == string(waits):
			if err := r.systemd.end(ctx, name); err != nil {
				return nil, fmt.Errorf("end the unit of an earlier agent: %w", err)
			}
			os.Remove(file)
		default:
			runs, err := r.systemd.runs(ctx, name)
			if err != nil {
				return nil, fmt.Errorf("adopt script: %w", err)
			}
			if !runs {
				continue // a script that was released
			}
			r.systemd.kill(name, "main", unix.SIGCONT) // one that only waits, after all, ends
			dir := filepath.Join(r.runDir, scriptDir, wordOfUnit(name))
			return &Run{dir: dir, record: record{ID: wordOfUnit(name), Kind: "unit", Unit: name},
				life: &orphan{systemd: r.systemd, name: name, dir: dir}}, nil
		}
	}
	return nil, nil
}

// life is what runs: a unit, a session, or what is left of one.
type life interface {
	wait(ctx context.Context, output func(string)) (ending, error)
	release() error
}

// Run is a script that was started. Its methods are for one goroutine.
type Run struct {
	dir    string
	record record
	output func(string)
	life   life
	ended  bool

	printed tail // of a session
}

// ID is the Request.ID of the run, of an earlier agent perhaps.
func (x *Run) ID() string { return x.record.ID }

// Target is the mount point that the script uses; empty when the record of
// an adopted run was lost.
func (x *Run) Target() string { return x.record.Target }

// Unit is the systemd unit that the script runs in; empty for a session.
func (x *Run) Unit() string { return x.record.Unit }

// Wait blocks until the script has ended. The end of ctx ends the waiting, not
// the script, and Wait can be called again. An error that wraps ErrNotStarted
// means that nothing of the script was executed, and that the run is released.
func (x *Run) Wait(ctx context.Context) (Exit, error) {
	end, err := x.life.wait(ctx, func(line string) {
		x.printed.add(line)
		if x.output != nil {
			x.output(line)
		}
	})
	if err != nil {
		return Exit{}, fmt.Errorf("wait for script %s: %w", x.record.ID, err)
	}
	x.ended = true
	if end.NotStarted != "" {
		err := fmt.Errorf("script %s: %w: %s", x.record.ID, ErrNotStarted, end.NotStarted)
		return Exit{Unknown: true}, errors.Join(err, x.Release())
	}
	return end.Exit, nil
}

// Release forgets a script whose end Wait returned, once the end is recorded:
// the unit, the private copy and its bind over the name on the stick.
// Background children that the script left go on.
func (x *Run) Release() error {
	if !x.ended {
		return fmt.Errorf("release script %s: it has not ended", x.record.ID)
	}
	if err := errors.Join(x.life.release(), x.clean()); err != nil {
		return fmt.Errorf("release script %s: %w", x.record.ID, err)
	}
	return nil
}

// Uncover takes the private copies away from their names on the stick, which
// Release does, too: the sooner a mount is gone, the less it is worth systemd's
// while to take it in.
func (x *Run) Uncover() error {
	if err := errors.Join(x.unbind()...); err != nil {
		return fmt.Errorf("uncover what script %s was called from: %w", x.record.ID, err)
	}
	return nil
}

// clean removes the binds and the directory.
func (x *Run) clean() error { return errors.Join(append(x.unbind(), os.RemoveAll(x.dir))...) }

func (x *Run) unbind() []error {
	var errs []error
	if x.record.Target != "" {
		for _, b := range x.record.Payload {
			errs = append(errs, unbind(x.record.Target, b.Path, b.identity))
		}
		var st unix.Stat_t
		if unix.Lstat(filepath.Join(x.dir, copyFile), &st) == nil {
			errs = append(errs, unbind(x.record.Target, x.record.Name, identity{uint64(st.Dev), st.Ino}))
		}
	}
	return errs
}

// lost is a run whose unit or supervisor is gone.
type lost struct{ dir string }

func (l lost) wait(context.Context, func(string)) (ending, error) { return readEnding(l.dir), nil }
func (l lost) release() error                                     { return nil }

// readEnding reads exit.json; unknown when there is none.
func readEnding(dir string) ending {
	var end ending
	if err := readJSON(filepath.Join(dir, exitFile), &end); err != nil {
		return ending{Exit: Exit{Unknown: true}}
	}
	return end
}
