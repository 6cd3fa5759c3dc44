// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDefault(t *testing.T) {
	want := Config{
		Devices:   Devices{Allow: []string{"usb"}, StorageOnly: true},
		Mount:     Mount{Root: "/media", Fmask: 0o022, Dmask: 0o022, Filesystems: Filesystems},
		Signature: Signature{CheckPurpose: "smimesign"},
		Keyring:   Keyring{Enabled: true, Path: "/etc/rauc/keyring.pem", RequireAnchor: true, Signers: []string{}},
		Autorun:   Autorun{Enabled: true, ExecutedList: "/var/cache/usb-autorun/executed.list", MaxSize: 64 << 20, Signers: []string{}},
		Board:     Board{SerialCommand: []string{"fw_printenv", "-n", "serial#"}},
		Installer: Installer{Backend: "rauc", Command: []string{}, Direct: "auto", Reboot: true},
		LED:       LED{Backend: "auto", ErrorCodes: true},
		State:     State{Dir: "/srv/usbagent"},
		Status:    Status{Path: "/run/usbagent/status.json"},
		Log:       Log{Level: "info"},
	}
	if got := Default(); !reflect.DeepEqual(got, want) {
		t.Errorf("Default()\n got %+v\nwant %+v", got, want)
	}
}

func TestExampleMeansTheDefaults(t *testing.T) {
	for name, text := range map[string]string{"as it is": Example(), "uncommented": uncommented()} {
		got, err := Check("example.toml", []byte(text))
		if err != nil || !reflect.DeepEqual(got, Default()) {
			t.Errorf("%s: %v\n%+v", name, err, got)
		}
	}
	for i := range keys {
		_, name, _ := strings.Cut(keys[i].name, ".")
		if !strings.Contains(Example(), "\n#"+name+" = "+keys[i].initial+"\n") {
			t.Errorf("the example lacks %s", keys[i].name)
		}
	}
}

// uncommented is Example with every default spelled out.
func uncommented() string {
	lines := strings.Split(Example(), "\n")
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") {
			lines[i] = rest
		}
	}
	return strings.Join(lines, "\n")
}

func TestEveryKeyIsRead(t *testing.T) {
	pin := strings.Repeat("AB:", 31) + "ab"
	text := `
[devices]
allow = ["usb", "loop"]
storage_only = false
[mount]
root = "/mnt/sticks/"
fmask = "0133"
dmask = "777"
filesystems = ["vfat"]
[signature]
check_purpose = "codesign"
allow_partial_chain = true
check_crl = true
[keyring]
enabled = false
path = "/etc/k.pem"
require_anchor = false
signers = ["` + pin + `"]
[autorun]
enabled = false
executed_list = "/srv/list"
allow_volatile_list = true
max_size = "1 GB"
timeout = "1h30m"
signers = ["` + pin + `"]
[board]
model = "Other board"
serial = "A 1"
serial_command = ["cat", "/etc/serial"]
[installer]
backend = "command"
command = ["cp", "{image}", "/dev/null"]
direct = "never"
reboot = false
[led]
backend = "gpiochip"
name = "yellow:programming"
chip = "/dev/gpiochip2"
line = 15
pin = 16
error_codes = false
[state]
dir = "/srv/x"
[status]
path = "/run/x.json"
[report]
on_stick = true
[log]
level = "debug"
`
	text = strings.Replace(text, "1 GB", "100 MB", 1)
	want := Config{
		Devices:   Devices{[]string{"usb", "loop"}, false},
		Mount:     Mount{"/mnt/sticks", 0o133, 0o777, []string{"vfat"}},
		Signature: Signature{"codesign", true, true},
		Keyring:   Keyring{false, "/etc/k.pem", false, []string{strings.Repeat("ab", 32)}},
		Autorun:   Autorun{false, "/srv/list", true, 100e6, 90 * time.Minute, []string{strings.Repeat("ab", 32)}},
		Board:     Board{"Other board", "A 1", []string{"cat", "/etc/serial"}},
		Installer: Installer{"command", []string{"cp", "{image}", "/dev/null"}, "never", false},
		LED:       LED{"gpiochip", "yellow:programming", "/dev/gpiochip2", 15, 16, false},
		State:     State{"/srv/x"},
		Status:    Status{"/run/x.json"},
		Report:    Report{true},
		Log:       Log{"debug"},
	}
	for name, text := range map[string]string{"unix": text, "windows": "\xef\xbb\xbf" + strings.ReplaceAll(text, "\n", "\r\n")} {
		got, err := Check("c.toml", []byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, want)
		}
	}
}

// TestMistakes has, for each mistake, the message of Check and what the
// daemon makes of it.
func TestMistakes(t *testing.T) {
	tests := []struct {
		text string
		want string // the first problem, up to where the daemon's choice begins
		set  func(*Config)
	}{
		{"[mount]\nrooot = \"/x\"\n", `c.toml:2: [mount] rooot: unknown key, did you mean mount.root?`, nil},
		{"[mount]\n\"mount.root\" = \"/x\"\n", `c.toml:2: [mount] "mount.root": unknown key`, nil},
		{"\"mount.root\" = \"/x\"\n", `c.toml:1: ["mount] root": unknown key`, nil},
		{"[[autorun]]\nenabled = false\n", `c.toml:2: [autorun] [].enabled: unknown key`, nil},
		{"colour = 1\n", `c.toml:1: colour: unknown key`, nil},
		{"[mount]\nroot = \"media\"\n", `c.toml:2: [mount] root: "media" is no absolute path; the daemon uses "/media"`, nil},
		{"[mount]\nroot = \"/\"\n", `c.toml:2: [mount] root: "/" is no plain path`, nil},
		{"[mount]\nroot = \"/a/../b\"\n", `c.toml:2: [mount] root: "/a/../b" is no plain path`, nil},
		{"[mount]\nroot = \"/a\\u0000b\"\n", `c.toml:2: [mount] root: "/a\\x00b" has control characters`, nil},
		{"[mount]\nfmask = \"01000\"\n", `c.toml:2: [mount] fmask: "01000" is no octal mask from 0 to 0777; the daemon uses "0077"`, func(c *Config) { c.Mount.Fmask = 0o77 }},
		{"[mount]\ndmask = 22\n", `c.toml:2: [mount] dmask: 22 is no octal string such as "0022"; the daemon uses "0077"`, func(c *Config) { c.Mount.Dmask = 0o77 }},
		{"[mount]\nfilesystems = [\"vfat\", \"fat\"]\n", `c.toml:2: [mount] filesystems: "fat" is none of ext2, ext3, ext4, vfat, exfat, ntfs; the daemon uses ["vfat"]`, func(c *Config) { c.Mount.Filesystems = []string{"vfat"} }},
		{"[mount]\nfilesystems = []\n", `c.toml:2: [mount] filesystems: the list has 0 items, not 1 to 64`, func(c *Config) { c.Mount.Filesystems = Filesystems[:4] }},
		{"[devices]\nallow = [\"sata\"]\n", `c.toml:2: [devices] allow: "sata" is none of usb, loop; the daemon uses ["usb"]`, nil},
		{"[devices]\nstorage_only = 0\n", `c.toml:2: [devices] storage_only: 0 is neither true nor false; the daemon uses true`, nil},
		{"[signature]\ncheck_purpose = \"codesing\"\n", `c.toml:2: [signature] check_purpose: "codesing" is none of smimesign, codesign, any; the daemon uses "smimesign"`, nil},
		{"[signature]\nallow_partial_chain = \"true\"\n", `c.toml:2: [signature] allow_partial_chain: "true" is neither`, nil},
		{"[signature]\ncheck_crl = \"yes\"\n", `c.toml:2: [signature] check_crl: "yes" is neither true nor false; the daemon uses true`, func(c *Config) { c.Signature.CheckCRL = true }},
		{"[keyring]\nenabled = \"off\"\n", `c.toml:2: [keyring] enabled: "off" is neither`, func(c *Config) { c.Keyring.Enabled = false }},
		{"[keyring]\nsigners = [\"12\"]\n", `c.toml:2: [keyring] signers: "12" is no SHA-256 fingerprint`, func(c *Config) { c.Keyring.Signers = []string{NoSigner} }},
		{"[autorun]\nenabled = \"false\"\n", `c.toml:2: [autorun] enabled: "false" is neither`, func(c *Config) { c.Autorun.Enabled = false }},
		{"[autorun]\nenabled = flase\n", `c.toml:2: [autorun] enabled: this is no TOML: `, func(c *Config) { c.Autorun.Enabled = false }},
		{"[autorun]\nenabled = true\nenabled = false\n", `c.toml:3: [autorun] enabled: this is no TOML: `, func(c *Config) { c.Autorun.Enabled = false }},
		{"[autorun]\nsigners = \"12\"\n", `c.toml:2: [autorun] signers: "12" is no list`, func(c *Config) { c.Autorun.Signers = []string{NoSigner} }},
		{"[autorun]\nmax_size = \"1 Gib\"\n", `c.toml:2: [autorun] max_size: "1 Gib" is no size`, nil},
		{"[autorun]\nmax_size = \"1GiB\"\n", `c.toml:2: [autorun] max_size: "1GiB" is not between 1 B and "256MiB"`, nil},
		{"[autorun]\nmax_size = 0\n", `c.toml:2: [autorun] max_size: 0 is not between`, nil},
		{"[autorun]\nmax_size = -1\n", `c.toml:2: [autorun] max_size: -1 is no size`, nil},
		{"[autorun]\ntimeout = \"-1s\"\n", `c.toml:2: [autorun] timeout: "-1s" is no duration`, nil},
		{"[autorun]\ntimeout = 30\n", `c.toml:2: [autorun] timeout: 30 is no duration`, nil},
		{"[installer]\nbackend = \"command\"\n", `c.toml:2: [installer] backend: "command" needs installer.command`, func(c *Config) { c.Installer.Backend = "none" }},
		{"[installer]\ncommand = [\"\"]\n", `c.toml:2: [installer] command: "" is no argument of a command`, nil},
		{"[installer]\ndirect = \"alway\"\n", `c.toml:2: [installer] direct: "alway" is none of auto, always, never; the daemon uses "never"`, func(c *Config) { c.Installer.Direct = "never" }},
		{"[led]\nbackend = \"gpiochip\"\n", `c.toml:2: [led] backend: "gpiochip" needs led.chip`, nil},
		{"[led]\nbackend = \"rpio\"\n", `c.toml:2: [led] backend: "rpio" needs led.pin`, nil},
		{"[led]\nname = \"../x\"\n", `c.toml:2: [led] name: "../x" is no file name`, nil},
		{"[led]\nchip = \"/dev/../x\"\n", `c.toml:2: [led] chip: "../x" is no file name`, nil},
		{"[led]\nline = 1.5\n", `c.toml:2: [led] line: 1.5 is no number from 0 to 1023`, nil},
		{"[report]\non_stick = \"yes\"\n", `c.toml:2: [report] on_stick: "yes" is neither true nor false; the daemon uses false`, nil},
		{"[log]\nlevel = \"" + strings.Repeat("x", 2000) + "\"\n", `c.toml:2: [log] level: the string is longer than 1024 bytes`, nil},
		{"autorun = { enabled = 1 }\n", `c.toml:1: [autorun] enabled: 1 is neither`, func(c *Config) { c.Autorun.Enabled = false }},
		{"autorun.enabled = 1\n", `c.toml:1: [autorun] enabled: 1 is neither`, func(c *Config) { c.Autorun.Enabled = false }},
	}
	for _, tt := range tests {
		want := Default()
		if tt.set != nil {
			tt.set(&want)
		}
		_, err := Check("c.toml", []byte(tt.text))
		var problems Problems
		if !errors.As(err, &problems) || !strings.HasPrefix(problems[0].String(), tt.want) {
			t.Errorf("Check(%q)\n got %v\nwant %s", tt.text, err, tt.want)
		}
		if got, _ := read("c.toml", []byte(tt.text)); !reflect.DeepEqual(got, want) {
			t.Errorf("the daemon makes of %q\n got %+v\nwant %+v", tt.text, got, want)
		}
	}
}

// TestBrokenSyntax: one broken line costs its own key only, and a door that
// may have been meant to be closed stays closed.
func TestBrokenSyntax(t *testing.T) {
	closed := func(c *Config) { c.Keyring.Enabled, c.Autorun.Enabled, c.Installer.Direct = false, false, "never" }
	tests := []struct {
		name, text string
		lines      []int // of the problems
		set        func(*Config)
	}{
		{"another key's line", "[led]\nname = yellow\n[autorun]\nmax_size = \"1MiB\"\n", []int{2}, func(c *Config) { c.Autorun.MaxSize = 1 << 20 }},
		{"two lines", "[autorun]\nenabled = no\n[mount]\nroot = /m\n[log]\nlevel = \"warn\"\n", []int{2, 4}, func(c *Config) { c.Autorun.Enabled = false; c.Log.Level = "warn" }},
		{"header", "[mount]\nroot = \"/m\"\n[autorun\nenabled = false\nmax_size = \"1MiB\"\n[log]\nlevel = \"warn\"\n", []int{3, 4, 4, 5}, func(c *Config) {
			c.Mount.Root, c.Log.Level = "/m", "warn"
			c.Keyring.Enabled, c.Autorun.Enabled = false, false
		}},
		{"header twice", "[autorun]\nmax_size = \"1MiB\"\n[autorun]\nenabled = false\n", []int{3, 4, 4}, func(c *Config) {
			c.Keyring.Enabled, c.Autorun.Enabled, c.Autorun.MaxSize = false, false, 1<<20
		}},
		{"piece of a list", "[keyring]\nsigners = [\n  abcd,\n]\n[log]\nlevel = \"warn\"\n", []int{3}, func(c *Config) {
			c.Keyring.Signers = []string{NoSigner}
			c.Log.Level = "warn"
		}},
		{"list without end", "[keyring]\nsigners = [\n  \"ab\",\n\n[log]\nlevel = \"warn\"\n", []int{2}, func(c *Config) {
			c.Keyring.Signers = []string{NoSigner}
			c.Log.Level = "warn"
		}},
		{"list without end at the end", "[log]\nlevel = \"warn\"\n[autorun]\nsigners = [\n\n\n", []int{6}, func(c *Config) {
			c.Autorun.Signers = []string{NoSigner}
			c.Log.Level = "warn"
		}},
		{"broken header below a list", "[keyring]\nsigners = []\n[autorun\ntimeout = \"1s\"\n", []int{3, 4}, func(c *Config) {}},
		{"string without end", "[mount]\nroot = \"\"\"/m\n[autorun]\nenabled = false\n[keyring]\nenabled = \"no\"", []int{2, 6}, func(c *Config) { c.Autorun.Enabled, c.Keyring.Enabled = false, false }},
		{"garbage", "[autorun]\nenabled = true\n\x00\x00\x00\x00\n", []int{3}, func(c *Config) { closed(c); c.Autorun.Enabled = true }},
		{"zeros after a power cut", strings.Repeat("\x00", 4096), []int{1}, closed},
		{"another kind of file", "<?xml version=\"1.0\"?>\n", []int{1}, closed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := Default()
			tt.set(&want)
			got, problems := read("c.toml", []byte(tt.text))
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			var lines []int
			for _, p := range problems {
				lines = append(lines, p.Line)
			}
			if !reflect.DeepEqual(lines, tt.lines) {
				t.Errorf("problems:\n%v\nwant lines %v", Problems(problems), tt.lines)
			}
		})
	}
}

func TestManyBrokenLinesEnd(t *testing.T) {
	got, problems := read("c.toml", []byte(strings.Repeat("what = = ever\n", 10000)))
	if len(problems) > MaxProblems || len(problems) < 2 || got.Autorun.Enabled || got.Keyring.Enabled {
		t.Errorf("%d problems, autorun %v, keyring %v", len(problems), got.Autorun.Enabled, got.Keyring.Enabled)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	closed := Default()
	closed.Keyring.Enabled, closed.Autorun.Enabled, closed.Installer.Direct = false, false, "never"

	if c, problems := Load(filepath.Join(dir, "none")); len(problems) > 0 || !reflect.DeepEqual(c, Default()) {
		t.Errorf("no file: %v, %+v", problems, c)
	}
	if c, problems := Load(dir); len(problems) != 1 || !reflect.DeepEqual(c, closed) {
		t.Errorf("directory: %v, %+v", problems, c)
	}
	big := filepath.Join(dir, "big")
	os.WriteFile(big, []byte(strings.Repeat("#", MaxFileSize+1)), 0o600)
	if c, problems := Load(big); len(problems) != 1 || !reflect.DeepEqual(c, closed) {
		t.Errorf("too large: %v, %+v", problems, c)
	}
	os.WriteFile(big, []byte(strings.Repeat("#", MaxFileSize)), 0o600)
	if c, problems := Load(big); len(problems) != 0 || !reflect.DeepEqual(c, Default()) {
		t.Errorf("as large as may be: %v, %+v", problems, c)
	}
	if _, err := Check("c", []byte(strings.Repeat("#", MaxFileSize+1))); err == nil {
		t.Error("Check takes a file that is too large")
	}
	good := filepath.Join(dir, "good")
	os.WriteFile(good, []byte("[log]\nlevel = \"warn\"\n"), 0o600)
	if c, problems := Load(good); len(problems) != 0 || c.Log.Level != "warn" {
		t.Errorf("good file: %v, %+v", problems, c)
	}
}

// TestLimitsOfValues: at the limit, and one above.
func TestLimitsOfValues(t *testing.T) {
	for name, text := range map[string]func(more int) string{
		"MaxScriptSize": func(more int) string { return fmt.Sprintf("[autorun]\nmax_size = %d\n", MaxScriptSize+more) },
		"maxText":       func(more int) string { return "[board]\nmodel = \"" + strings.Repeat("x", maxText+more) + "\"\n" },
	} {
		if _, err := Check("c.toml", []byte(text(0))); err != nil {
			t.Errorf("%s: at the limit: %v", name, err)
		}
		if _, err := Check("c.toml", []byte(text(1))); err == nil {
			t.Errorf("%s: one more is taken", name)
		}
	}
}
