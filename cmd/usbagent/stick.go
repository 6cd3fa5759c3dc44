// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"strings"

	"usbagent/advice"
	"usbagent/agent"
	"usbagent/autorun"
	"usbagent/config"
	"usbagent/ledger"
	"usbagent/signature"
)

// StickCmd is "usbagent stick": it makes the directory of a stick that a board
// accepts, or leaves it as it was.
type StickCmd struct {
	Sign   SignCmd // for what needs a signature
	Board  CheckCmd
	Script string
	Owner  string // the new keyring
	Images []string
	Force  bool
	Dir    string
}

func (c *StickCmd) command() *command {
	cmd := leaf("stick [flags] DIR", "Make a stick: sign what needs it, copy, check, and tell what a board will do.", atDesk, c.Run)
	operand(cmd, &c.Dir, "DIR", "the root directory of the stick", 1)
	flag{"script", "", "FILE", "The script; it becomes autorun.sh, and files that it names are copied from beside it."}.text(cmd, &c.Script)
	flag{"new-keyring", "", "FILE", "The keyring that the board is to have afterwards; it becomes fwupdate-keyring.pem."}.text(cmd, &c.Owner)
	flag{"image", "", "FILE", "A firmware image (repeatable); a name that does not end in .image gets that ending."}.list(cmd, &c.Images)
	flag{"key", "", "FILE", "The key for what has no FILE" + agent.SignatureSuffix + " beside it that the board accepts."}.text(cmd, &c.Sign.Key)
	flag{"cert", "", "FILE", "The key's certificate."}.text(cmd, &c.Sign.Cert)
	flag{"chain", "", "FILE", "Further certificates to put into the signatures, PEM."}.text(cmd, &c.Sign.Chain)
	flag{"passphrase-file", "", "FILE", "The passphrase of the key is the first line of this file."}.text(cmd, &c.Sign.PassphraseFile)
	c.Board.Keyring = defaultKeyring
	flag{"keyring", "", "FILE", "The keyring that the board has now."}.text(cmd, &c.Board.Keyring)
	flag{"config", "", "FILE", "The configuration of the board (without: the defaults)."}.text(cmd, &c.Board.Config)
	flag{"compatible", "", "TEXT", "What RAUC on the board calls it, to find images for others."}.text(cmd, &c.Board.Compatible)
	flag{"force", "", "", "Take away what DIR already has for a board, instead of refusing."}.toggle(cmd, &c.Force)
	jsonFlag.toggle(cmd, &c.Board.JSON)
	return cmd
}

// Run makes the stick. That a board would refuse a step is a "no", and then
// nothing is left in the directory.
func (c *StickCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	parts, err := c.parts()
	if err != nil {
		return err
	}
	made, err := makeTarget(c.Dir)
	if err != nil {
		return err
	}
	r, err := c.make(ctx, parts)
	if err != nil && made {
		os.Remove(c.Dir) // only where it is empty
	}
	if r != nil {
		err = errors.Join(c.tell(*r), err)
	}
	if err == nil && !c.Board.JSON {
		fmt.Printf("%s is ready. Eject it before you pull it.\n", word(c.Dir))
	}
	return err
}

func (c *StickCmd) tell(r report) error {
	if c.Board.JSON {
		return printJSON(r)
	}
	_, err := fmt.Print(r.human())
	return err
}

// makeTarget makes dir where it is missing, and reports whether it did.
func makeTarget(dir string) (made bool, err error) {
	err = os.Mkdir(dir, 0o755)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err == nil, err
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory: name the root directory of the mounted stick", dir)
	}
	return false, err
}

// make puts the parts together beside what is in the directory, asks what a
// board would do with them, and only then puts them in their places.
func (c *StickCmd) make(ctx context.Context, parts []part) (*report, error) {
	s, err := newStaging(c.Dir, parts, c.Force)
	if err != nil {
		return nil, err
	}
	defer s.clear()
	if err := s.fill(ctx, parts); err != nil {
		return nil, err
	}
	check := c.Board
	check.Dir = s.dir
	r := report{Path: c.Dir, Steps: []ledger.Step{}, Findings: []advice.Finding{}}
	if err := check.directory(&r); err != nil {
		return nil, err
	}
	if r.OK = r.Code == 0; !r.OK {
		return &r, no{fmt.Errorf("a board would not do all of this; %s is as it was", c.Dir)}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &r, s.commit(parts)
}

// parts are the files of the stick, signed where that is needed, in the order
// in which they are put in place: signatures last, so that a stick that was
// pulled too early has half a pair and does nothing.
func (c *StickCmd) parts() ([]part, error) {
	if c.Script == "" && c.Owner == "" && len(c.Images) == 0 {
		return nil, errors.New("nothing to put on the stick: give --script, --new-keyring or --image")
	}
	if (c.Sign.Key == "") != (c.Sign.Cert == "") {
		return nil, errors.New("--key and --cert belong together")
	}
	board, err := c.Board.board(new(report))
	if err != nil {
		return nil, err
	}
	trust, err := signature.ParseKeyring(board.Keyring)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Board.Keyring, err)
	}
	list, signatures, err := c.imageParts(), []part(nil), error(nil)
	if c.Owner != "" {
		content, p7s, err := c.signed(c.Owner, signature.MaxKeyringSize, trust, board.Rules.Keyring.Verify)
		if err != nil {
			return nil, err
		}
		if trust, err = signature.ParseKeyring(content); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Owner, err)
		}
		list = append(list, part{name: agent.KeyringName, content: content})
		signatures = append(signatures, part{name: agent.KeyringName + agent.SignatureSuffix, content: p7s})
	}
	if c.Script != "" {
		content, p7s, err := c.signed(c.Script, config.MaxScriptSize, trust, board.Rules.Script)
		if err != nil {
			return nil, err
		}
		list = append(list, payloadParts(filepath.Dir(c.Script), content)...)
		list = append(list, part{name: agent.ScriptName, content: content})
		signatures = append(signatures, part{name: agent.ScriptName + agent.SignatureSuffix, content: p7s})
	}
	return append(list, signatures...), distinct(list)
}

// signed reads a file, and the signature beside it; where there is none that
// trust accepts, the file is signed.
func (c *StickCmd) signed(file string, limit int64, trust *signature.Keyring, o signature.Options) (content, p7s []byte, err error) {
	if content, err = readFile(file, limit); err != nil {
		return nil, nil, err
	}
	beside := file + agent.SignatureSuffix
	p7s, missing := readFile(beside, signature.MaxSize)
	if missing == nil {
		_, refused := signature.Verify(trust, signature.NewContent(filepath.Base(file), append([]byte(nil), content...)), p7s, o)
		if refused == nil || c.Sign.Key == "" {
			return content, p7s, nil // the check tells why it is refused
		}
	} else if !errors.Is(missing, fs.ErrNotExist) {
		return nil, nil, missing
	}
	if c.Sign.Key == "" {
		return nil, nil, fmt.Errorf("%s is missing: put it there, or give --key and --cert to sign %s", beside, filepath.Base(file))
	}
	by, err := c.Sign.read()
	if err != nil {
		return nil, nil, err
	}
	by.Verify, by.Keyring = o, trust
	if p7s, err = signature.Sign(content, by); err != nil {
		return nil, nil, no{fmt.Errorf("%s: %w", file, err)}
	}
	return content, p7s, nil
}

// imageParts are the images, under names that a board looks for.
func (c *StickCmd) imageParts() []part {
	var list []part
	for _, source := range c.Images {
		name := filepath.Base(source)
		if !strings.HasSuffix(name, agent.ImageSuffix) {
			name = strings.TrimSuffix(name, filepath.Ext(name)) + agent.ImageSuffix
		}
		list = append(list, part{name: strings.TrimLeft(name, "."), source: source})
	}
	return list
}

// payloadParts are the files that a script names in its directives; one that
// cannot be read as directives is the check's business.
func payloadParts(dir string, script []byte) []part {
	said, err := autorun.ParseDirectives(script)
	if err != nil {
		return nil
	}
	var list []part
	for _, f := range said.Files {
		list = append(list, part{name: path.Clean(f.Path), source: filepath.Join(dir, filepath.FromSlash(f.Path))})
	}
	return list
}

// distinct refuses two parts of one name, upper and lower case aside.
func distinct(list []part) error {
	seen := make(map[string]string)
	for _, p := range list {
		from := p.source
		if from == "" {
			from = p.name
		}
		key := strings.ToLower(p.name)
		if other, ok := seen[key]; ok && other != from {
			return fmt.Errorf("%s and %s would both be %s on the stick: rename one", other, from, p.name)
		}
		seen[key] = from
	}
	return nil
}
