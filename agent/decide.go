// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"fmt"
	"strings"

	"usbagent/autorun"
	"usbagent/config"
	"usbagent/keyring"
	"usbagent/ledger"
	"usbagent/signature"
)

// The steps of a stick, in their order.
const (
	StepMount   = "mount"
	StepKeyring = "keyring"
	StepAutorun = "autorun"
	StepImage   = "image"
	StepReport  = "report" // the receipt on the stick (report.on_stick)
)

// The results of a step. A refused step was decided against before it had any
// effect; a failed one went wrong.
const (
	Done    = "done"
	Skipped = "skipped"
	Refused = "refused"
	Failed  = "failed"
)

// Failure codes: the number of flashes (docs/technician.md).
const (
	CodeUnreadable = 2
	CodeKeyring    = 3
	CodeScript     = 4
	CodeStatus     = 5
	CodeImage      = 6
)

// Rules are the settings that decide about a stick. They are the same for the
// daemon and for the desk.
type Rules struct {
	Keyring    keyring.Rules
	KeyringOff bool
	Script     signature.Options
	Version    autorun.Version // of this usbagent
	// Model and Serial tell which board this is, "" where it cannot be known;
	// nil at a desk where nobody has said for which board it is asked.
	Model, Serial func() string
	ScriptOff     bool
	MaxScriptSize int64 // bytes
	Image         signature.Options
}

// NewRules takes the settings out of a validated configuration. A version that
// is none counts as older than all.
func NewRules(c config.Config, version string) Rules {
	options := signature.Options{
		Purpose:           signature.Purpose(c.Signature.CheckPurpose),
		AllowPartialChain: c.Signature.AllowPartialChain,
		CheckCRL:          c.Signature.CheckCRL,
	}
	r := Rules{
		Keyring:       keyring.Rules{Verify: options, RequireAnchor: c.Keyring.RequireAnchor},
		KeyringOff:    !c.Keyring.Enabled,
		Script:        options,
		ScriptOff:     !c.Autorun.Enabled,
		MaxScriptSize: c.Autorun.MaxSize,
		Image:         options,
	}
	r.Version, _ = autorun.ParseVersion(version)
	r.Keyring.Verify.Signers = fingerprints(c.Keyring.Signers)
	r.Script.Signers = fingerprints(c.Autorun.Signers)
	return r
}

// fingerprints parses pins that the configuration has validated. One that does
// not parse stays in the list as the fingerprint of no certificate: a pin must
// never vanish.
func fingerprints(list []string) []signature.Fingerprint {
	pins := make([]signature.Fingerprint, len(list))
	for i, text := range list {
		pins[i], _ = signature.ParseFingerprint(text)
	}
	return pins
}

// offer is a pair as it was read from one volume, or why it could not be.
type offer struct {
	volume  *volume
	step    string // StepKeyring or StepAutorun
	name    string // wanted name, which messages use
	stored  string // name as stored on the stick
	content *signature.Content
	p7s     []byte
	refusal string             // reading the pair was refused
	said    autorun.Directives // of a script, before anybody vouched for it
	wrong   error              // in them
	release func()             // gives the memory of content back to the budget
}

// drop lets go of what was read.
func (o *offer) drop() {
	o.content, o.p7s = nil, nil
	if o.release != nil {
		o.release()
	}
}

// take reads a pair from v once, or returns nil where v has neither file.
// Content over limit bytes, half a pair and what is no regular file become the
// offer's refusal. The content's memory comes out of the budget, where there
// is one.
func take(ctx context.Context, v *volume, step string, limit int64, memory *budget) *offer {
	name, p := KeyringName, v.found.keyring
	if step == StepAutorun {
		name, p = ScriptName, v.found.script
	}
	o := &offer{volume: v, step: step, name: name, stored: p.file}
	for _, wanted := range v.found.ambiguous {
		if strings.TrimSuffix(wanted, SignatureSuffix) == name {
			o.refusal = fmt.Sprintf("several files are called %s but for upper and lower case", wanted)
			return o
		}
	}
	if p.absent() {
		return nil
	}
	if missing := p.half(name); missing != "" {
		o.refusal = missing + " is missing beside it: both files of the pair must be on the stick"
		return o
	}
	var err error
	if o.p7s, _, err = v.read(ctx, p.signature, signature.MaxSize, nil); err != nil {
		o.refusal = fmt.Sprintf("%s: %v", Show(p.signature), err)
		return o
	}
	data, release, err := v.read(ctx, p.file, limit, memory)
	o.release = release
	if err != nil {
		o.refusal = fmt.Sprintf("%s: %v", Show(p.file), err)
		if step == StepAutorun && strings.Contains(o.refusal, "the limit is") {
			o.refusal += " (autorun.max_size)"
		}
		return o
	}
	if step == StepAutorun {
		o.said, o.wrong = autorun.ParseDirectives(data)
	}
	o.content = signature.NewContent(name, data)
	return o
}

// result makes the entry of one step about o.
func (o *offer) result(result, format string, args ...any) ledger.Step {
	return ledger.Step{
		Step: o.step, Device: o.volume.device, File: o.name,
		Result: result, Reason: fmt.Sprintf(format, args...),
	}
}

// unusableKeyring is why nothing can be verified.
const unusableKeyring = "the installed keyring cannot be used (usbagent keyring restore brings the kept one back)"

// rotation is a keyring that may become the installed one.
type rotation struct {
	verified *signature.Verified
	keyring  *signature.Keyring
}

// decideKeyring says what is to happen with an offered keyring. Only where
// rotation is not nil is there something to do, and the step is then what to
// report once it is done.
func (r Rules) decideKeyring(o *offer, installed *signature.Keyring, missing error) (*rotation, ledger.Step) {
	if r.KeyringOff {
		return nil, o.result(Skipped, "switched off (keyring.enabled = false)")
	}
	if o.refusal != "" {
		return nil, o.result(Refused, "%s", o.refusal)
	}
	content := r.Keyring
	content.RequireAnchor = false
	offered, err := keyring.Check(o.content.Unverified(), content)
	if err != nil {
		return nil, o.result(Refused, "%v", err)
	}
	if missing != nil {
		return nil, o.result(Refused, unusableKeyring+": %v", missing)
	}
	switch fresh, err := keyring.Fresh(offered, installed, content); {
	case err != nil:
		return nil, o.result(Refused, "%v", err)
	case !fresh:
		return nil, o.result(Skipped, "already installed")
	}
	verified, err := signature.Verify(installed, o.content, o.p7s, r.Keyring.Verify)
	if err != nil {
		return nil, o.result(Refused, "%v", err)
	}
	if _, err := keyring.Check(verified.Bytes(), r.Keyring); err != nil {
		return nil, o.result(Refused, "%v", err)
	}
	return &rotation{verified, offered}, o.result(Done, "%s installed, signed by %s",
		count(len(offered.Certificates()), "certificate"), Show(verified.Signer().Subject))
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
