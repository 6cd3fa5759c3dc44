// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"usbagent/ledger"
)

// Bounds of a receipt.
const (
	// MaxReceipt is the size in bytes above which a receipt is not written;
	// the other bounds keep it below.
	MaxReceipt = 1 << 20
	// MaxReceiptLines is how many of a script's last lines are in it.
	MaxReceiptLines = 40
	// MaxReceiptLine is the length in bytes to which each of them is cut.
	MaxReceiptLine = 512
	// MaxReceiptSteps is how many steps are in it: the first ones.
	MaxReceiptSteps = 64
	// MaxReceiptReason is the length in bytes to which a reason is cut.
	MaxReceiptReason = 1024
	// MaxReceiptOutputs is of how many scripts it has the last lines.
	MaxReceiptOutputs = 8
)

// ReceiptFormat is the format number in a receipt; a reader that finds a
// higher one does not know it.
const ReceiptFormat = 1

// Board is what is known of the board itself.
type Board struct {
	Model    string `json:"model"`
	Serial   string `json:"serial"`
	Firmware string `json:"firmware"`
	// Machine tells boards without a serial number apart.
	Machine string `json:"machine,omitempty"`
}

// Receipt is what a board leaves on a stick. Its strings are escaped and
// bounded; its times are by the board's clock, which nobody trusts.
type Receipt struct {
	Format     int           `json:"format"`
	Board      Board         `json:"board"`
	Agent      string        `json:"agent"` // its version
	Written    time.Time     `json:"written"`
	Started    time.Time     `json:"started"` // with the stick
	Device     string        `json:"device"`
	Label      string        `json:"label"`
	Filesystem string        `json:"filesystem"`
	Result     string        `json:"result"` // done, failed
	Code       int           `json:"code"`   // flashes of the LED, 0: none
	Meaning    string        `json:"meaning"`
	Restarting bool          `json:"restarting"` // into the image that was installed
	Keyring    KeyringChange `json:"keyring"`
	Steps      []ledger.Step `json:"steps"`
	Output     []Output      `json:"script_output"`
	Earlier    *Earlier      `json:"earlier,omitempty"`
}

// KeyringChange has the SHA-256 fingerprints of the installed keyring's
// certificates.
type KeyringChange struct {
	Before []string `json:"before"`
	After  []string `json:"after"`
}

// Output has the last lines that one script printed.
type Output struct {
	Device string   `json:"device"`
	Lines  []string `json:"lines"`
}

// Earlier is what an image on this stick did to this board before the board
// last restarted, and what became of it.
type Earlier struct {
	Image   string        `json:"image"`
	Version string        `json:"version"`
	Started time.Time     `json:"started"`
	Result  string        `json:"result"` // installed, arrived, fell-back, failed
	Reason  string        `json:"reason,omitempty"`
	Steps   []ledger.Step `json:"steps"` // of the stick at that time
}

// meanings are the LED's codes in words.
var meanings = map[int]string{
	0:              "no failure",
	CodeUnreadable: "the stick cannot be read",
	CodeKeyring:    "keyring refused",
	CodeScript:     "script refused",
	CodeStatus:     "script failed",
	CodeImage:      "image not installed",
}

// Meaning says what the LED means by a failure code; 0 is none.
func Meaning(code int) string { return meanings[code] }

// bound brings a receipt within its bounds, and makes empty lists lists.
func (r *Receipt) bound() {
	r.Steps = boundSteps(r.Steps)
	r.Output = append([]Output{}, r.Output[:min(len(r.Output), MaxReceiptOutputs)]...)
	for i := range r.Output {
		lines := r.Output[i].Lines
		lines = slices.Clone(lines[max(0, len(lines)-MaxReceiptLines):])
		for j := range lines {
			lines[j] = escape(lines[j], MaxReceiptLine, `\\`)
		}
		r.Output[i].Lines = lines
	}
	for _, list := range []*[]string{&r.Keyring.Before, &r.Keyring.After} {
		*list = append([]string{}, *list...)
	}
	for _, s := range []*string{&r.Board.Model, &r.Board.Serial, &r.Board.Firmware} {
		*s = Show(*s)
	}
	if r.Earlier != nil {
		r.Earlier.Steps = boundSteps(r.Earlier.Steps)
	}
}

func boundSteps(list []ledger.Step) []ledger.Step {
	list = append([]ledger.Step{}, list[:min(len(list), MaxReceiptSteps)]...)
	for i := range list {
		list[i].Reason = escape(list[i].Reason, MaxReceiptReason, `\\`)
	}
	return list
}

// named is a file to be written.
type named struct {
	name    string // one component, harmless on every file system
	content []byte
}

// files are the receipt as JSON and as text.
func (r Receipt) files() ([]named, error) {
	r.bound()
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	name, text := r.Board.FileName(), r.text()
	if size := max(len(data), len(text)); size > MaxReceipt {
		return nil, fmt.Errorf("the receipt has %s, the limit is %s", Bytes(int64(size)), Bytes(MaxReceipt))
	}
	return []named{{name + ".json", append(data, '\n')}, {name + ".txt", []byte(text)}}, nil
}

// reserved are the names that Windows keeps for devices, whatever follows a dot.
var reserved = []string{"con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
	"lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9"}

// maxFileName bounds what FileName returns, in bytes.
const maxFileName = 64

// FileName is the name of the board's receipt without its ending: the serial
// number, or what stands in for it. What is no letter, digit, dot, dash or
// underscore is replaced, and the name then ends in a hash that keeps different
// boards apart.
func (b Board) FileName() string {
	id := b.Serial
	if id == "" {
		id = b.Machine
	}
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)) {
			return r
		}
		return '_'
	}, id)
	name = strings.Trim(name[:min(len(name), maxFileName-9)], ".-")
	first, _, _ := strings.Cut(strings.ToLower(name), ".")
	if name == id && name != "" && !slices.Contains(reserved, first) {
		return name
	}
	return fmt.Sprintf("%s_%.4x", name, sha256.Sum256([]byte(id)))
}

// text is the receipt for people, with the line ends that every editor knows.
func (r Receipt) text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("usbagent receipt\r\n")
	line("Board     %s, serial number %s", orUnknown(r.Board.Model), orUnknown(r.Board.Serial))
	line("Firmware  %s", orUnknown(r.Board.Firmware))
	line("Agent     usbagent %s", r.Agent)
	line("Written   %s by the board's clock, which may be wrong", r.Written.UTC().Format(time.DateTime))
	line("Stick     %s %q, %s", r.Device, r.Label, r.Filesystem)
	if r.Code == 0 {
		line("Result    good")
	} else {
		line("Result    FAILED: %s (the LED flashes %d times)", r.Meaning, r.Code)
	}
	if r.Restarting {
		line("          The board now restarts into the new system.")
	}
	writeSteps(line, "Steps", r.Steps)
	line("\r\nKeyring before (SHA-256 of each certificate)")
	writeList(line, r.Keyring.Before)
	if slices.Equal(r.Keyring.Before, r.Keyring.After) {
		line("Keyring after: the same")
	} else {
		line("Keyring after")
		writeList(line, r.Keyring.After)
	}
	for _, o := range r.Output {
		line("\r\nLast lines of the script on %s", o.Device)
		writeList(line, o.Lines)
	}
	if e := r.Earlier; e != nil {
		line("\r\nBefore the restart: image %s, version %q, %s %s", e.Image, e.Version, e.Result, e.Reason)
		writeSteps(line, "Steps then", e.Steps)
	}
	return b.String()
}

func writeSteps(line func(string, ...any), title string, steps []ledger.Step) {
	line("\r\n%s", title)
	for _, s := range steps {
		subject := s.File
		if subject == "" {
			subject = s.Device
		}
		line("  %-8s %-8s %s: %s", s.Step, s.Result, subject, s.Reason)
	}
}

func writeList(line func(string, ...any), list []string) {
	for _, text := range list {
		line("  %s", text)
	}
	if len(list) == 0 {
		line("  (none)")
	}
}

func orUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}
