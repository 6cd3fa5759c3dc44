// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"fmt"
	"slices"
	"strings"

	"usbagent/internal/spelling"
)

// key is one setting: the single place that knows its name, default, bounds,
// documentation and what stands in for a bad value.
type key struct {
	name    string
	initial string // the default, as TOML
	doc     string
	set     func(*Config, value) error // leaves the Config as it is when it fails
	show    func(*Config) string       // as TOML
	restore func(c, from *Config)      // sets what from has
	strict  func(c *Config, bad value) // sets the strictest value; nil: the default is
	list    bool                       // a list, which may stretch over several lines
	// whenLost makes strict count also when the key was lost in a file that
	// cannot be read.
	whenLost bool
}

// field makes a key for one field of the Config.
func field[T any](name, initial string, at func(*Config) *T, parse func(value) (T, error), show func(T) string, doc string) key {
	k := key{name: name, initial: initial, doc: doc}
	k.set = func(c *Config, v value) error {
		x, err := parse(v)
		if err == nil {
			*at(c) = x
		}
		return err
	}
	k.restore = func(c, from *Config) { *at(c) = *at(from) }
	k.show = func(c *Config) string { return show(*at(c)) }
	return k
}

// otherwise makes x stand in for a bad value.
func otherwise[T any](k key, at func(*Config) *T, x T) key {
	k.strict = func(c *Config, _ value) { *at(c) = x }
	return k
}

// alsoWhenLost marks k to be strict also in an unreadable file.
func alsoWhenLost(k key) key { k.whenLost = true; return k }

// narrowed makes k, a list, keep the good items of a bad list, and more when
// there are none.
func narrowed(k key, at func(*Config) *[]string, item func(value) (string, error), more []string) key {
	k.list = true
	k.strict = func(c *Config, bad value) {
		var good []string
		for _, v := range bad.list {
			if s, err := item(v); err == nil {
				good = append(good, s)
			}
		}
		if len(good) == 0 {
			good = slices.Clone(more)
		}
		*at(c) = good
	}
	return k
}

// Filesystems are the types that can be mounted, as mount names them.
var Filesystems = []string{"ext2", "ext3", "ext4", "vfat", "exfat", "ntfs"}

// NoSigner is the pin that stands in for pins that cannot be read: no
// certificate has this SHA-256, so nothing is accepted.
const NoSigner = "0000000000000000000000000000000000000000000000000000000000000000"

// imagePlace is what installer.command replaces by the path of the image.
const imagePlace = "{image}"

func devicesAllow(c *Config) *[]string     { return &c.Devices.Allow }
func mountFmask(c *Config) *uint32         { return &c.Mount.Fmask }
func mountDmask(c *Config) *uint32         { return &c.Mount.Dmask }
func mountFilesystems(c *Config) *[]string { return &c.Mount.Filesystems }
func checkCRL(c *Config) *bool             { return &c.Signature.CheckCRL }
func keyringEnabled(c *Config) *bool       { return &c.Keyring.Enabled }
func keyringSigners(c *Config) *[]string   { return &c.Keyring.Signers }
func autorunEnabled(c *Config) *bool       { return &c.Autorun.Enabled }
func autorunSigners(c *Config) *[]string   { return &c.Autorun.Signers }
func installerCommand(c *Config) *[]string { return &c.Installer.Command }
func installerDirect(c *Config) *string    { return &c.Installer.Direct }

// keys are all settings, table by table, in the order of the example. It is a
// variable only because Go has no constant of this type; nothing changes it.
var keys = []key{
	narrowed(field("devices.allow", `["usb"]`, devicesAllow, listOf(1, oneOf("usb", "loop")), showList,
		"Buses whose disks are sticks: usb; loop for benches and tests."), devicesAllow, oneOf("usb", "loop"), []string{"usb"}),
	field("devices.storage_only", `true`, func(c *Config) *bool { return &c.Devices.StorageOnly }, boolean, showBool,
		"Refuse a USB device that is storage and something else (a keyboard) at once."),

	field("mount.root", `"/media"`, func(c *Config) *string { return &c.Mount.Root }, directory, showString,
		"Sticks are mounted below this directory, each under its label."),
	otherwise(field("mount.fmask", `"0022"`, mountFmask, mask, showMask,
		"Permission bits taken from files on file systems without owners, octal."), mountFmask, 0o077),
	otherwise(field("mount.dmask", `"0022"`, mountDmask, mask, showMask,
		"The same for directories."), mountDmask, 0o077),
	narrowed(field("mount.filesystems", `["ext2", "ext3", "ext4", "vfat", "exfat", "ntfs"]`, mountFilesystems, listOf(1, oneOf(Filesystems...)), showList,
		"File systems that are mounted; a shorter list is a smaller surface."), mountFilesystems, oneOf(Filesystems...), []string{"ext2", "ext3", "ext4", "vfat"}),

	field("signature.check_purpose", `"smimesign"`, func(c *Config) *string { return &c.Signature.CheckPurpose }, oneOf("smimesign", "codesign", "any"), showString,
		"What a signer's certificate must be for: smimesign, codesign or any (as in RAUC)."),
	field("signature.allow_partial_chain", `false`, func(c *Config) *bool { return &c.Signature.AllowPartialChain }, boolean, showBool,
		"Let a chain end in a certificate of the keyring that is not self-signed."),
	otherwise(field("signature.check_crl", `false`, checkCRL, boolean, showBool,
		"Check revocation lists in the keyring, dates aside. Without a list nothing verifies."), checkCRL, true),

	alsoWhenLost(otherwise(field("keyring.enabled", `true`, keyringEnabled, boolean, showBool,
		"Accept a new keyring from a stick."), keyringEnabled, false)),
	field("keyring.path", `"/etc/rauc/keyring.pem"`, func(c *Config) *string { return &c.Keyring.Path }, file, showString,
		"The installed keyring, the only trust there is."),
	field("keyring.require_anchor", `true`, func(c *Config) *bool { return &c.Keyring.RequireAnchor }, boolean, showBool,
		"Refuse a keyring that could never verify anything."),
	narrowed(field("keyring.signers", `[]`, keyringSigners, listOf(0, fingerprint), showList,
		"SHA-256 fingerprints of certificates; one must be in the chain of a new keyring's signature."), keyringSigners, fingerprint, []string{NoSigner}),

	alsoWhenLost(otherwise(field("autorun.enabled", `true`, autorunEnabled, boolean, showBool,
		"Run autorun.sh from a stick."), autorunEnabled, false)),
	field("autorun.executed_list", `"/var/cache/usb-autorun/executed.list"`, func(c *Config) *string { return &c.Autorun.ExecutedList }, file, showString,
		"MD5 sums of the scripts that were started, one a line."),
	field("autorun.allow_volatile_list", `false`, func(c *Config) *bool { return &c.Autorun.AllowVolatileList }, boolean, showBool,
		"Run scripts even where the list does not outlive a restart (tmpfs): each boot runs them again."),
	field("autorun.max_size", `"64MiB"`, func(c *Config) *int64 { return &c.Autorun.MaxSize }, size, showSize,
		"Largest script, at most 256MiB; it is held in memory."),
	field("autorun.timeout", `"0s"`, func(c *Config) *duration { return (*duration)(&c.Autorun.Timeout) }, period, showPeriod,
		"A script that runs longer is ended; 0s: no limit."),
	narrowed(field("autorun.signers", `[]`, autorunSigners, listOf(0, fingerprint), showList,
		"As keyring.signers, for scripts."), autorunSigners, fingerprint, []string{NoSigner}),

	field("board.model", `""`, func(c *Config) *string { return &c.Board.Model }, text, showString,
		"Model of this board, for scripts that are meant for some; empty: the device tree's."),
	field("board.serial", `""`, func(c *Config) *string { return &c.Board.Serial }, text, showString,
		"Its serial number; empty: the device tree's, else what board.serial_command prints."),
	listed(field("board.serial_command", `["fw_printenv", "-n", "serial#"]`, func(c *Config) *[]string { return &c.Board.SerialCommand }, listOf(0, argument), showList,
		"Program and arguments that print the serial number (here: U-Boot's environment); []: none.")),

	field("installer.backend", `"rauc"`, func(c *Config) *string { return &c.Installer.Backend }, oneOf("rauc", "command", "none"), showString,
		"Who installs images: rauc, command or none."),
	listed(field("installer.command", `[]`, installerCommand, listOf(0, argument), showList,
		`For "command": program and arguments; {image} becomes the path of the image.`)),
	alsoWhenLost(otherwise(field("installer.direct", `"auto"`, installerDirect, oneOf("auto", "always", "never"), showString,
		"Install from the stick itself: auto (where the stick cannot cheat), always, never (copy first)."), installerDirect, "never")),
	field("installer.reboot", `true`, func(c *Config) *bool { return &c.Installer.Reboot }, boolean, showBool,
		"Reboot after an image was installed."),

	field("led.backend", `"auto"`, func(c *Config) *string { return &c.LED.Backend }, oneOf("auto", "sysfs", "gpiochip", "rpio", "none"), showString,
		"What drives the LED: auto (by the board's model), sysfs, gpiochip, rpio or none."),
	field("led.name", `""`, func(c *Config) *string { return &c.LED.Name }, optional(fileName), showString,
		"For sysfs: name below /sys/class/leds."),
	field("led.chip", `""`, func(c *Config) *string { return &c.LED.Chip }, optional(chip), showString,
		"For gpiochip: name such as gpiochip2, and the line on it."),
	field("led.line", `0`, func(c *Config) *int { return &c.LED.Line }, integer(0, 1023), showInt, ""),
	field("led.pin", `0`, func(c *Config) *int { return &c.LED.Pin }, integer(0, 53), showInt,
		"For rpio (Raspberry Pi benches): BCM number of the pin."),
	field("led.error_codes", `true`, func(c *Config) *bool { return &c.LED.ErrorCodes }, boolean, showBool,
		"Flash a code after a failure until the stick is pulled."),

	field("state.dir", `"/srv/usbagent"`, func(c *Config) *string { return &c.State.Dir }, directory, showString,
		"What happened so far is kept here; /var/lib/usbagent where /srv is no mount."),
	field("status.path", `"/run/usbagent/status.json"`, func(c *Config) *string { return &c.Status.Path }, file, showString,
		"What usbagent status reads."),
	field("report.on_stick", `false`, func(c *Config) *bool { return &c.Report.OnStick }, boolean, showBool,
		"Leave a receipt on the stick (usbagent-report/<serial>.json and .txt), for which it is written to."),
	field("log.level", `"info"`, func(c *Config) *string { return &c.Log.Level }, oneOf("debug", "info", "warn", "error"), showString,
		"debug, info, warn or error."),
}

func listed(k key) key { k.list = true; return k }

// Default is the configuration without a file.
func Default() Config {
	var c Config
	for _, e := range walk([]byte(defaults())) {
		if err := find(e.name).set(&c, e.value); err != nil {
			panic(fmt.Sprintf("default of %s: %v", e.name, err)) // a mistake in keys, found by every test
		}
	}
	return c
}

// defaults is all keys with their defaults as TOML.
func defaults() string {
	var b strings.Builder
	for i := range keys {
		fmt.Fprintf(&b, "%s = %s\n", keys[i].name, keys[i].initial)
	}
	return b.String()
}

// Example is a configuration file for people: every key with what it does
// and its default, commented out, so that it means the defaults.
func Example() string {
	var b strings.Builder
	b.WriteString("# usbagent's settings. Every line shows a default; remove the # before a key to change it.\n" +
		"# \"usbagent run --check-config\" tells mistakes by line. The daemon itself goes on with the\n" +
		"# default (for settings meant for security: the strictest value) and reports the line.\n")
	table := ""
	for i := range keys {
		t, name, _ := strings.Cut(keys[i].name, ".")
		if t != table {
			fmt.Fprintf(&b, "\n[%s]\n", t)
			table = t
		}
		if keys[i].doc != "" {
			fmt.Fprintf(&b, "# %s\n", keys[i].doc)
		}
		fmt.Fprintf(&b, "#%s = %s\n", name, keys[i].initial)
	}
	return b.String()
}

func find(name string) *key {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	return nil
}

// called lists the keys with the given name in any table. A dotted name may
// be a table's and a key's.
func called(name string) []*key {
	name = name[strings.LastIndexByte(name, '.')+1:]
	var list []*key
	for i := range keys {
		if strings.HasSuffix(keys[i].name, "."+name) {
			list = append(list, &keys[i])
		}
	}
	return list
}

// suggestion names a key that looks like name.
func suggestion(name string) string {
	best, distance := "", spelling.Near+1
	for i := range keys {
		if d := spelling.Distance(name, keys[i].name); d < distance {
			best, distance = keys[i].name, d
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best + "?"
}
