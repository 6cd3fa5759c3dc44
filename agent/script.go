// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"usbagent/autorun"
	"usbagent/internal/sha256"
	"usbagent/keyring"
	"usbagent/ledger"
	"usbagent/signature"
)

// approved is a script that may run, and what it says about itself.
type approved struct {
	*signature.Verified
	said autorun.Directives
}

// always reports whether the script is to run again though it ran before.
func (p *approved) always() bool { return p.said.Run == autorun.RunAlways }

// decideScript says what is to happen with an offered script, as far as its
// own bytes and the board tell; the files that it vouches for are looked at
// afterwards. executed is whether its MD5 is in the list of executed scripts.
// Only where the first result is not nil may it run.
func (r Rules) decideScript(o *offer, executed bool, installed *signature.Keyring, missing error) (*approved, ledger.Step) {
	if r.ScriptOff {
		return nil, o.result(Skipped, "switched off (autorun.enabled = false)")
	}
	if o.refusal != "" {
		return nil, o.result(Refused, "%s", o.refusal)
	}
	if executed && o.said.Run != autorun.RunAlways {
		return nil, o.result(Skipped, "already executed (its MD5 %x is in the list)", o.content.MD5())
	}
	if missing != nil {
		return nil, o.result(Refused, unusableKeyring+": %v", missing)
	}
	verified, err := signature.Verify(installed, o.content, o.p7s, r.Script)
	if err != nil {
		return nil, o.result(Refused, "%v", err)
	}
	if err := autorun.CheckScript(verified.Bytes()); err != nil {
		return nil, o.result(Refused, "%v", err)
	}
	// Whatever stands above its certificates: what may be installed as a keyring
	// has no line that is meant for a shell.
	if _, err := keyring.Check(verified.Bytes(), keyring.Rules{}); err == nil {
		return nil, o.result(Refused, "it is no script but a keyring")
	}
	if step, ok := r.heed(o); !ok {
		return nil, step
	}
	return &approved{verified, o.said}, o.result(Done, "signed by %s", Show(verified.Signer().Subject))
}

// heed obeys what a verified script says about itself. An older usbagent says
// so before it complains about words that it does not know.
func (r Rules) heed(o *offer) (step ledger.Step, ok bool) {
	if needs := o.said.Requires; needs != nil && !r.Version.AtLeast(*needs) {
		return o.result(Refused, "it needs usbagent %s or later, this is %s", needs, r.Version), false
	}
	if o.wrong != nil {
		return o.result(Refused, "what the script says about itself cannot be obeyed: %v", o.wrong), false
	}
	if why := r.elsewhere(o.said.Board); why != "" {
		return o.result(Skipped, "%s", why), false
	}
	return step, true
}

// elsewhere says why the script is not for this board, or "".
func (r Rules) elsewhere(t *autorun.Target) string {
	if t == nil {
		return ""
	}
	if r.Model != nil && len(t.Models) > 0 {
		if model := r.Model(); !t.FitsModel(model) {
			return fmt.Sprintf("it is for other boards: the model here is %q", Show(model))
		}
	}
	if r.Serial != nil && len(t.Serials) > 0 {
		serial := r.Serial()
		switch {
		case serial == "":
			return "it is for boards with certain serial numbers, and this board does not tell its own"
		case !t.FitsSerial(serial):
			return fmt.Sprintf("it is for other boards: the serial number here is %q", Show(serial))
		}
	}
	return ""
}

// payloadError says what is wrong with a file that a script vouches for.
func payloadError(f autorun.File, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("it is not on the stick")
	}
	return fmt.Errorf("line %d: %s: %w", f.Line, Show(f.Path), err)
}

// openVouched opens a file that a script vouches for, where it has the right
// size. executable is whether the stick says that it may be executed.
func (v *volume) openVouched(ctx context.Context, f autorun.File) (file *os.File, executable bool, err error) {
	file, size, err := v.openSized(ctx, f.Path)
	if err != nil {
		return nil, false, payloadError(f, plain(err))
	}
	info, err := file.Stat()
	if err == nil && size != f.Size {
		err = fmt.Errorf("it has %d bytes, the script says %d", size, f.Size)
	}
	if err != nil {
		file.Close()
		return nil, false, payloadError(f, plain(err))
	}
	return file, info.Mode()&0o111 != 0, nil
}

// payload looks at the files that a script vouches for as a board would,
// without keeping them.
func (o InspectOptions) payload(ctx context.Context, v *volume, files []autorun.File) error {
	for _, f := range files {
		file, _, err := v.openVouched(ctx, f)
		if err != nil {
			return err
		}
		err = o.compare(ctx, f, file)
		file.Close()
		if err != nil {
			return payloadError(f, plain(err))
		}
	}
	return nil
}

func (o InspectOptions) compare(ctx context.Context, f autorun.File, file *os.File) error {
	sum, err := o.sum(ctx, f, file)
	if err != nil {
		return err
	}
	return f.Check(sum)
}

// sum reads as many bytes as f has.
func (o InspectOptions) sum(ctx context.Context, f autorun.File, file *os.File) (sum [sha256.Size]byte, err error) {
	r := &counter{ctx: ctx, r: io.LimitReader(file, f.Size), size: f.Size}
	if o.Progress != nil {
		r.tell = func(done int64) { o.Progress(f.Path, done, f.Size) }
	}
	hash := sha256.New()
	if n, err := io.Copy(hash, r); err != nil {
		return sum, err
	} else if n < f.Size {
		return sum, fmt.Errorf("it ends after %d bytes", n)
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}

// Vouch returns what a script in the directory dir can say of the file at path,
// which has slashes and no part that is a link. progress may be nil.
func Vouch(ctx context.Context, dir, path string, progress func(file string, done, size int64)) (autorun.File, error) {
	f := autorun.File{Path: path}
	if err := autorun.CheckPath(path); err != nil {
		return f, err
	}
	d, err := openDirectory(dir)
	if err != nil {
		return f, err
	}
	defer d.Close()
	v := &volume{directory: d}
	file, size, err := v.openSized(ctx, path)
	if err != nil {
		return f, fmt.Errorf("%s: %w", Show(path), plain(err))
	}
	defer file.Close()
	if f.Size = size; size > autorun.MaxFileSize {
		return f, fmt.Errorf("%s: it has %s, the limit is %s", Show(path), Bytes(size), Bytes(autorun.MaxFileSize))
	}
	f.SHA256, err = InspectOptions{Progress: progress}.sum(ctx, f, file)
	if err != nil {
		return f, fmt.Errorf("%s: %w", Show(path), plain(err))
	}
	return f, nil
}
