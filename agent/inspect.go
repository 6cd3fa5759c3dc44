// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"usbagent/installer"
	"usbagent/ledger"
	"usbagent/signature"
)

// InspectOptions describe the board that a stick is meant for.
type InspectOptions struct {
	Rules      Rules
	Keyring    []byte                              // the installed keyring's content
	Executed   func(md5 [16]byte) (bool, error)    // the board's list of executed scripts; nil: empty
	Compatible string                              // RAUC's word for the board; "" where unknown
	Fold       bool                                // names are compared as on FAT, exFAT and NTFS
	Progress   func(file string, done, size int64) // while long files are hashed; may be nil
}

// Inspection is what a board would do.
type Inspection struct {
	Steps []ledger.Step // in the order the board would take them
	Code  int           // the LED's failure code, 0 for none
	Said  []string      // what the script says about itself, in words
}

// Inspect tells what a board would do with the stick whose root directory is
// dir, by the very decisions that the daemon takes, and has no effect. A step
// that would be done has the result Done. It returns an error only where dir
// cannot be read at all.
func Inspect(ctx context.Context, dir string, o InspectOptions) (Inspection, error) {
	d, err := openDirectory(dir)
	if err != nil {
		return Inspection{}, fmt.Errorf("open %s: %w", dir, plain(err))
	}
	v := &volume{directory: d, device: filepath.Base(dir), target: dir, fold: o.Fold}
	defer v.Close()
	if v.found, err = v.search(); err != nil {
		return Inspection{}, err
	}
	var in Inspection
	installed, missing := signature.ParseKeyring(o.Keyring)
	if offer := take(ctx, v, StepKeyring, signature.MaxKeyringSize, nil); offer != nil {
		rotation, step := o.Rules.decideKeyring(offer, installed, missing)
		if rotation != nil {
			installed, missing = rotation.keyring, nil
		}
		in.add(step, failure(step, CodeKeyring))
	}
	if offer := take(ctx, v, StepAutorun, o.Rules.MaxScriptSize, nil); offer != nil {
		in.Said = offer.said.Sentences()
		in.add(o.script(ctx, offer, installed, missing))
	}
	o.images(ctx, v, &in, installed, missing)
	return in, ctx.Err()
}

func (in *Inspection) add(step ledger.Step, code int) {
	in.Steps = append(in.Steps, step)
	if in.Code == 0 {
		in.Code = code
	}
}

func (o InspectOptions) script(ctx context.Context, offer *offer, installed *signature.Keyring, missing error) (ledger.Step, int) {
	executed := false
	if o.Executed != nil && offer.content != nil {
		var err error
		if executed, err = o.Executed(offer.content.MD5()); err != nil {
			return offer.result(Refused, "whether it ran before cannot be known: %v", err), CodeScript
		}
	}
	script, step := o.Rules.decideScript(offer, executed, installed, missing)
	if script != nil {
		if err := o.payload(ctx, offer.volume, script.said.Files); err != nil {
			step = offer.result(Refused, "%v", err)
		}
	}
	return step, failure(step, CodeScript)
}

// images decides about the images as far as that goes without a board: those
// that do not fit it are a failure only where none fits.
func (o InspectOptions) images(ctx context.Context, v *volume, in *Inspection, installed *signature.Keyring, missing error) {
	if v.found.tooMany {
		i := image{volume: v, name: "*" + ImageSuffix}
		in.add(i.result(Refused, "more than %d images; none of them is installed: leave those that are meant", MaxImages), CodeImage)
		return
	}
	var misfits []ledger.Step
	fits, chosen := false, false
	for _, name := range v.found.images {
		i := &image{volume: v, name: name}
		if chosen {
			in.add(i.result(Skipped, "an image before it in the order of names is installed first"), 0)
			continue
		}
		step, action := o.image(ctx, i, installed, missing)
		if action == installer.Mismatch {
			misfits = append(misfits, step)
			continue
		}
		fits, chosen = true, action == installer.Install
		in.add(step, failure(step, CodeImage))
	}
	for _, step := range misfits {
		code := CodeImage
		if fits {
			code = 0
		}
		in.add(step, code)
	}
}

func (o InspectOptions) image(ctx context.Context, i *image, installed *signature.Keyring, missing error) (ledger.Step, installer.Action) {
	err := i.openAt()
	if err != nil {
		return i.result(Refused, "%v", plain(err)), installer.Refuse
	}
	defer i.file.Close()
	if missing != nil {
		return i.result(Refused, unusableKeyring+": %v", missing), installer.Refuse
	}
	if i.bundle, i.info, i.known, err = o.Rules.examineBundle(installed, i.trailer.CMS); err != nil {
		return i.result(Refused, "%v", err), installer.Refuse
	}
	if i.bundle != nil && i.bundle.Manifest == nil {
		if err := o.hash(ctx, i); err != nil {
			return i.result(Refused, "%v", err), installer.Refuse
		}
	}
	if i.known && o.Compatible != "" && i.info.Compatible != o.Compatible {
		return i.result(Skipped, "the image is for %q, this board is %q", Show(i.info.Compatible), Show(o.Compatible)), installer.Mismatch
	}
	return i.result(Done, "%s", i.describe()), installer.Install
}

// describe says what is known of an image.
func (i *image) describe() string {
	if !i.known {
		return fmt.Sprintf("%s bundle, what it is for is known to the board only", i.info.Format)
	}
	return fmt.Sprintf("%s bundle for %q, version %q", i.info.Format, Show(i.info.Compatible), Show(i.info.Version))
}

// openAt opens the file and reads what makes it a bundle.
func (i *image) openAt() error {
	f, err := i.volume.open(i.name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		i.trailer, err = installer.ReadTrailer(f, info.Size())
	}
	if err != nil {
		f.Close()
		return err
	}
	i.file, i.size = f, info.Size()
	return nil
}

// hash compares the content of a plain bundle with its signed digest.
func (o InspectOptions) hash(ctx context.Context, i *image) error {
	h := i.bundle.Hash.New()
	r := &counter{ctx: ctx, r: io.NewSectionReader(i.file, 0, i.trailer.ContentSize), size: i.trailer.ContentSize}
	if o.Progress != nil {
		r.tell = func(done int64) { o.Progress(i.name, done, i.size) }
	}
	if _, err := io.Copy(h, r); err != nil {
		return plain(err)
	}
	if !bytes.Equal(h.Sum(nil), i.bundle.Sum) {
		return errors.New("the content is not what was signed: the file is damaged or was changed: copy it to the stick anew")
	}
	return nil
}

// counter tells how far a reader is, and ends with its context.
type counter struct {
	ctx        context.Context
	r          io.Reader
	tell       func(done int64)
	done, size int64
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	if c.done += int64(n); c.tell != nil {
		c.tell(c.done)
	}
	return n, err
}

// image is one *.image file while it is decided about.
type image struct {
	volume *volume
	name   string
	file   *os.File
	size   int64

	trailer installer.Trailer
	bundle  *signature.Bundle // nil where the signature is the installer's business
	id      string            // SHA-256 of what identifies it, hex
	info    installer.Info    // zero until known
	known   bool              // info is
	past    ledger.Image      // what became of it before
	seen    installer.Seen    // what the installer said last of the slots
	ready   bool              // the system was confirmed good before, and will be now
}

func (i *image) result(result, format string, args ...any) ledger.Step {
	return ledger.Step{Step: StepImage, Device: i.volume.device, File: Show(i.name),
		Result: result, Reason: fmt.Sprintf(format, args...)}
}

// failure is the code where step is a failure, else 0.
func failure(step ledger.Step, code int) int {
	if step.Result == Refused || step.Result == Failed {
		return code
	}
	return 0
}

// examineBundle checks the signature of a RAUC bundle as far as that goes
// without its content, and returns what the manifest says, where it is part
// of the signature. The bundle is nil where only the installer can open it.
func (r Rules) examineBundle(installed *signature.Keyring, cms []byte) (b *signature.Bundle, info installer.Info, known bool, err error) {
	b, err = signature.VerifyBundle(installed, cms, r.Image)
	switch {
	case errors.Is(err, signature.ErrEncrypted):
		return nil, installer.Info{Format: installer.Crypt}, false, nil
	case err != nil:
		return nil, info, false, err
	case b.Manifest == nil:
		return b, installer.Info{Format: installer.Plain}, false, nil
	}
	info, err = installer.ParseManifest(b.Manifest)
	return b, info, err == nil, err
}
