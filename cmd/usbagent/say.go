// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"usbagent/agent"
	"usbagent/autorun"
)

// saying is a paragraph of what a script says about itself.
func saying(sentences []string) string {
	if len(sentences) == 0 {
		return ""
	}
	text := "\nThe script says about itself:\n"
	for _, s := range sentences {
		text += "  " + s + "\n"
	}
	return text
}

// wishes are the flags of "sign" for what the script is to say about itself.
type wishes struct {
	Files, Models, Serials []string
	RunWhen, Requires      string
}

func (w *wishes) add(cmd *command) {
	flag{"file", "", "PATH", "Let the script vouch for this file beside it (repeatable)."}.list(cmd, &w.Files)
	flag{"board-model", "", "GLOB", "Let it be for boards of this model only; * and ? stand for others (repeatable)."}.list(cmd, &w.Models)
	flag{"board-serial", "", "TEXT", "Let it be for boards with this serial number only (repeatable, or separated by commas)."}.list(cmd, &w.Serials)
	flag{"run", "", "WHEN", "Let it run once, or always: each time it is plugged in."}.choice(cmd, &w.RunWhen, autorun.RunOnce, autorun.RunAlways)
	flag{"requires", "", "X.Y", "Let older versions of usbagent refuse it."}.text(cmd, &w.Requires)
}

// write puts what is wished into the script, and tells each changed line.
func (w *wishes) write(path string, script []byte) ([]byte, []autorun.Edit, error) {
	wish := autorun.Wish{Models: w.Models, Run: w.RunWhen}
	for _, list := range w.Serials {
		wish.Serials = append(wish.Serials, strings.Split(list, ",")...)
	}
	if w.Requires != "" {
		v, err := autorun.ParseVersion(w.Requires)
		if err != nil || v.String() != w.Requires {
			return nil, nil, fmt.Errorf("--requires: %q is not of the form X.Y", w.Requires)
		}
		wish.Requires = &v
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, name := range w.Files {
		f, err := vouch(ctx, filepath.Dir(path), name)
		if err != nil {
			return nil, nil, fmt.Errorf("--file: %w", err)
		}
		wish.Files = append(wish.Files, f)
	}
	if wish.Empty() {
		return script, nil, nil
	}
	if err := autorun.CheckScript(script); err != nil {
		return nil, nil, no{fmt.Errorf("%s: %w", path, err)}
	}
	written, edits, err := autorun.Rewrite(script, wish)
	if err != nil {
		return nil, nil, no{fmt.Errorf("%s: %w", path, err)}
	}
	return written, edits, nil
}

// vouch looks at a file by its path below the folder of the script; where
// there is none, by its path as typed, which must lead there.
func vouch(ctx context.Context, folder, name string) (autorun.File, error) {
	path := filepath.Clean(name)
	if _, err := os.Lstat(filepath.Join(folder, path)); errors.Is(err, fs.ErrNotExist) || filepath.IsAbs(path) {
		from, err1 := filepath.Abs(folder)
		to, err2 := filepath.Abs(name)
		below, err3 := filepath.Rel(from, to)
		if err := errors.Join(err1, err2, err3); err != nil {
			return autorun.File{}, err
		}
		if !filepath.IsLocal(below) {
			return autorun.File{}, fmt.Errorf("%s is not below the folder of the script, which will be the root of the stick", word(name))
		}
		path = below
	}
	progress := showProgress()
	if progress != nil {
		defer clearLine()
	}
	return agent.Vouch(ctx, folder, filepath.ToSlash(path), progress)
}

// difference shows the lines that were changed.
func difference(path string, edits []autorun.Edit) string {
	var b strings.Builder
	for _, e := range edits {
		if e.Old != "" {
			fmt.Fprintf(&b, "%s:%d: %s\n", word(path), e.Line, paint(red, "-"+word(e.Old)))
		}
		fmt.Fprintf(&b, "%s:%d: %s\n", word(path), e.Line, paint(green, "+"+word(e.New)))
	}
	return b.String()
}

// stale says which files are not what the script vouches for.
func stale(path string, said autorun.Directives) (warnings []string) {
	for _, f := range said.Files {
		now, err := agent.Vouch(context.Background(), filepath.Dir(path), f.Path, nil)
		if err == nil && now.Size != f.Size {
			err = fmt.Errorf("%s: it has %d bytes, the script says %d", word(f.Path), now.Size, f.Size)
		}
		if err == nil {
			if wrong := f.Check(now.SHA256); wrong != nil {
				err = fmt.Errorf("%s: %w", word(f.Path), wrong)
			}
		}
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("line %d: %v; boards will refuse the script (--file brings the line up to date)", f.Line, err))
		}
	}
	return warnings
}
