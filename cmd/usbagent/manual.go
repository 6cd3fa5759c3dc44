// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"strings"

	"usbagent/config"
)

// ManualCmd is "usbagent manual", which the packages are built with.
type ManualCmd struct{ Page string }

func (c *ManualCmd) command(root *command) *command {
	cmd := leaf("manual PAGE", "Print a manual page.", about, func() error { return c.Run(root) })
	operand(cmd, &c.Page, "PAGE", "usbagent.8 or usbagent.toml.5", 1)
	cmd.hidden = true
	return cmd
}

// Run prints a manual page in man(7)'s language. The command line and the
// configuration are described where they are defined, and only there.
func (c *ManualCmd) Run(root *command) error {
	if err := oneOf([]string{"usbagent.8", "usbagent.toml.5"}, c.Page); err != nil {
		return err
	}
	page := configManual()
	if c.Page == "usbagent.8" {
		page = commandManual(root)
	}
	_, err := fmt.Print(page)
	return err
}

// roff makes text safe for man(7): no line begins with a control character,
// and dashes can be copied from the page.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

func header(name, section, title string) string {
	return fmt.Sprintf(".TH %s %s \"\" \"usbagent %s\"\n.SH NAME\n%s\n", strings.ToUpper(name), section, roff(version), roff(name+" - "+title))
}

func commandManual(root *command) string {
	commands := root.leaves()
	var b strings.Builder
	b.WriteString(header("usbagent", "8", root.short))
	b.WriteString(".SH SYNOPSIS\n")
	for _, c := range commands {
		fmt.Fprintf(&b, ".B %s\n.br\n", roff(c.usage()))
	}
	b.WriteString(".SH DESCRIPTION\n" + roff(`The agent waits for a USB stick, takes from its root directory a signed keyring (fwupdate-keyring.pem and
fwupdate-keyring.pem.p7s), a signed script (autorun.sh and autorun.sh.p7s) and firmware images (*.image), verifies each
against the keyring of the board, and does what they ask for: the keyring is installed, the script runs once, the image
is handed to RAUC. The other commands are for the desk, and work on Linux, Windows and macOS.`) + "\n.SH COMMANDS\n")
	for _, c := range commands {
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(c.path()), roff(c.short))
		if c.operand.name != "" {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(c.operand.name), roff(c.operand.help))
		}
		for _, o := range c.options {
			if !o.hidden && o.toggle != &c.help {
				b.WriteString(".TP\n.B " + roff(typed(o)) + "\n" + roff(o.describe()) + "\n")
			}
		}
	}
	b.WriteString(".SH EXIT STATUS\n0 good; 1 the answer is no (not verified, would be refused, failed); 2 wrong usage or cannot run.\n")
	b.WriteString(".SH FILES\n.TP\n.I /etc/usbagent/config.toml\nthe configuration, see usbagent.toml(5)\n" +
		".TP\n.I /etc/rauc/keyring.pem\nthe installed keyring\n" +
		".TP\n.I /var/cache/usb\\-autorun/executed.list\nMD5 sums of the scripts that were started\n" +
		".TP\n.I /run/usbagent/status.json\nstate of the running agent\n")
	b.WriteString(".SH SEE ALSO\nusbagent.toml(5), rauc(1), openssl\\-smime(1)\n")
	return b.String()
}

// typed is a flag as it is typed.
func typed(o *option) string {
	if o.toggle != nil {
		return o.name()
	}
	return o.name() + "=" + o.value
}

func configManual() string {
	var b strings.Builder
	b.WriteString(header("usbagent.toml", "5", "configuration of the USB update agent"))
	b.WriteString(".SH DESCRIPTION\n" + roff(`/etc/usbagent/config.toml, in TOML. Without the file the defaults apply, which are shown here.
"usbagent run --check-config" is strict and names the line of each mistake. The daemon itself reports a mistake, ignores
an unknown key, takes the default for a bad value, and the strictest value where security is meant.`) + "\n.SH KEYS\n.nf\n")
	b.WriteString(roff(config.Example()))
	b.WriteString("\n.fi\n.SH SEE ALSO\nusbagent(8)\n")
	return b.String()
}
