// SPDX-License-Identifier: GPL-3.0-or-later

// Package config reads the settings of usbagent, a TOML file, into one typed
// and validated value. Most callers need two functions: Load for the daemon,
// which never fails, and Check for "usbagent run --check-config", which
// accepts no mistake.
//
// # Failure model
//
// USB may be the only way to mend a board, so a typing error in the file must
// not keep the daemon away. Load reports it and goes on: an unknown key is
// ignored, a bad value becomes the default, and where a key is meant for
// security it becomes the strictest value. A line that is no TOML at all is
// taken out, counts as a bad value of the key it begins with, and the rest of
// the file is read. Where a key cannot be told (garbage, a file that cannot be
// read or is too large), the keys that close a door are set strictly unless
// the file sets them elsewhere; the way that stays open for repair is a signed
// image. What each key becomes:
//
//	key                            bad value            key lost in an unreadable file
//	devices.allow                  ["usb"]              ["usb"]
//	devices.storage_only           true                 true
//	mount.root                     "/media"             "/media"
//	mount.fmask, mount.dmask       "0077"               "0077"
//	mount.filesystems              the good names of    all
//	                               the list, else ext2,
//	                               ext3, ext4, vfat
//	signature.check_purpose        "smimesign"          "smimesign"
//	signature.allow_partial_chain  false                false
//	signature.check_crl            true                 false: without a CRL nothing
//	                                                    would verify, images neither
//	keyring.enabled                false                false
//	keyring.path                   default              default
//	keyring.require_anchor         true                 true
//	keyring.signers,               the good ones of     none, but both
//	autorun.signers                the list and one     features are off
//	                               that nobody has
//	autorun.enabled                false                false
//	autorun.executed_list          default              default
//	autorun.allow_volatile_list    false                false
//	autorun.max_size, timeout      default              default
//	installer.backend              "rauc"               "rauc"
//	installer.command              backend "none" if    default
//	                               it was "command"
//	installer.direct               "never"              "never"
//	everything else                default              default
//
// A missing file is no mistake: it means the defaults. The package only reads;
// it does not look whether a path exists or a LED can be opened.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// DefaultPath is where the daemon looks for its configuration.
const DefaultPath = "/etc/usbagent/config.toml"

// MaxFileSize is the largest configuration file that is read, in bytes.
const MaxFileSize = 1 << 20

// MaxProblems is how many mistakes of one file are told. After as many lines
// that are no TOML the rest of the file counts as unreadable.
const MaxProblems = 32

// Config is the whole configuration. Every value obtained from Default, Check
// or Load is within its bounds; nothing in it needs to be checked again.
type Config struct {
	Devices   Devices
	Mount     Mount
	Signature Signature
	Keyring   Keyring
	Autorun   Autorun
	Board     Board
	Installer Installer
	LED       LED
	State     State
	Status    Status
	Report    Report
	Log       Log
}

// Devices says which block devices are sticks.
type Devices struct {
	Allow       []string // buses: "usb", "loop"
	StorageOnly bool     // refuse USB devices that are anything beside storage
}

// Mount says where and how sticks are mounted.
type Mount struct {
	Root         string   // absolute path below which mount points are made
	Fmask, Dmask uint32   // permission bits taken away on file systems without owners, 0..0777
	Filesystems  []string // types that are mounted, of Filesystems
}

// Signature says what a chain of certificates must be (RAUC's options of the same names).
type Signature struct {
	CheckPurpose      string // "smimesign", "codesign", "any"
	AllowPartialChain bool
	CheckCRL          bool
}

// Keyring is about replacing the installed trust.
type Keyring struct {
	Enabled       bool
	Path          string // absolute
	RequireAnchor bool
	Signers       []string // SHA-256 fingerprints, 64 lower-case hex digits; empty: no pin
}

// Autorun is about running autorun.sh.
type Autorun struct {
	Enabled           bool
	ExecutedList      string // absolute path
	AllowVolatileList bool
	MaxSize           int64         // bytes
	Timeout           time.Duration // 0: no limit
	Signers           []string      // as Keyring.Signers
}

// Board says which board this is, for scripts that are meant for some only.
type Board struct {
	Model         string   // "": the device tree's
	Serial        string   // "": the device tree's, else what SerialCommand prints
	SerialCommand []string // program and arguments; empty: none
}

// Installer is about *.image files.
type Installer struct {
	Backend string   // "rauc", "command", "none"
	Command []string // for "command"; one argument contains "{image}"
	Direct  string   // "auto", "always", "never"
	Reboot  bool
}

// LED says what shows the state.
type LED struct {
	Backend    string // "auto", "sysfs", "gpiochip", "rpio", "none"
	Name       string // LED class device
	Chip       string // GPIO character device, a name or a path below /dev
	Line       int    // of Chip
	Pin        int    // BCM number for rpio; 0: not set
	ErrorCodes bool
}

// State is about the state directory. The default path stands for "the data
// partition if there is one"; the caller decides.
type State struct {
	Dir string // absolute path
}

// Status is about status.json.
type Status struct {
	Path string // absolute
}

// Report is about the receipt that a board leaves on a stick.
type Report struct {
	OnStick bool // write usbagent-report/<serial>.json and .txt
}

// Log is about logging.
type Log struct {
	Level string // "debug", "info", "warn", "error"
}

// Problem is one mistake in a configuration file.
type Problem struct {
	File         string // as given to Check or Load
	Line, Column int    // from 1; 0 when the file as a whole is meant
	Key          string // "mount.root"; "" when no key can be told
	Message      string
}

// String is "config.toml:12: [mount] rooot: unknown key".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if table, key, ok := strings.Cut(p.Key, "."); ok {
		fmt.Fprintf(&b, "[%s] %s: ", table, key)
	} else if p.Key != "" {
		fmt.Fprintf(&b, "%s: ", p.Key)
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems is the error of Check: all mistakes in the order of the file, at
// most MaxProblems, one a line.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// Check reads text strictly: unknown keys, bad values, settings that
// contradict each other and broken syntax are errors, each naming its line.
// name is the file's name in the messages. The error is a Problems.
func Check(name string, text []byte) (Config, error) {
	c, problems := read(name, text)
	if len(problems) > 0 {
		return Default(), Problems(problems)
	}
	return c, nil
}

// Load reads the file at path for the daemon. It never fails; what could not
// be used is told by the problems, each of which says what is used instead.
// A missing file is no problem.
func Load(path string) (Config, []Problem) {
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Default(), nil
	}
	if err != nil {
		c := Default()
		lost(&c, nil)
		return c, []Problem{{File: path, Message: err.Error() + lostMessage}}
	}
	return read(path, text)
}

const lostMessage = "; keyring and scripts are switched off, images still install"

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("this is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err == nil && len(text) > MaxFileSize {
		err = fmt.Errorf("the file is larger than %d bytes", MaxFileSize)
	}
	return text, err
}
