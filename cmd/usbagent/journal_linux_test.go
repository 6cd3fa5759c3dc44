// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usbagent/agent"
	"usbagent/test/booted"
	"usbagent/test/need"
	"usbagent/test/pki"
)

// TestJournal has the agent, as a service of a booted systemd, handle a stick,
// and looks at what the real journald has of it.
func TestJournal(t *testing.T) {
	need.Root(t)
	need.Tool(t, "openssl")
	m := booted.Boot(t, map[string]string{"stick.service": "[Service]\nType=oneshot\nSuccessExitStatus=1\n" +
		"ExecStart=@" + booted.Program + " usbagent process --config /shared/config.toml --run-dir /run/usbagent /shared/stick\n"})
	owner, err := pki.New(filepath.Join(m.Shared, "pki"), "vendor")
	if err != nil {
		t.Fatal(err)
	}
	stick := filepath.Join(m.Shared, "stick")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(stick, 0o755); err != nil {
		t.Fatal(err)
	}
	keyring, err := os.ReadFile(owner.Keyring)
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(m.Shared, "keyring.pem"), string(keyring))
	write(filepath.Join(m.Shared, "config.toml"), `
colour = 1
[keyring]
path = "/shared/keyring.pem"
[autorun]
executed_list = "/var/lib/test/executed.list"
allow_volatile_list = true
[installer]
backend = "none"
[led]
backend = "none"
[state]
dir = "/var/lib/test/state"
[status]
path = "/run/usbagent/status.json"
`)
	write(filepath.Join(stick, "autorun.sh"), "#!/bin/sh\necho one of the script\necho two of the script >&2\nexit 3\n")
	if err := owner.Sign(filepath.Join(stick, "autorun.sh")); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(stick, "fwupdate-keyring.pem"), "half\x1b[31m a pair")
	m.Run(t, "systemctl", "start", "stick.service")
	m.Run(t, "journalctl", "--sync")

	if got := m.Run(t, "journalctl", "-b", "-t", "usb-autorun", "-o", "cat", "--no-pager"); got != "one of the script\ntwo of the script\n" {
		t.Errorf("journalctl -t usb-autorun: %q", got)
	}
	agents := entries(t, m, "-t", "usbagent")
	steps := entries(t, m, "USBAGENT_STEP=autorun", "USBAGENT_RESULT=failed")
	if len(steps) != 1 {
		t.Fatalf("%d entries of the failed script in %d of the agent", len(steps), len(agents))
	}
	for field, want := range map[string]string{
		"MESSAGE_ID": agent.MessageID("step failed"), "SYSLOG_IDENTIFIER": "usbagent", "PRIORITY": "4", "USBAGENT_DEVICE": "",
		"USBAGENT_PARTITION": "stick", "USBAGENT_FILE": "autorun.sh", "USBAGENT_REASON": "ended with exit status 3", "USBAGENT_CODE": "5",
		"_SYSTEMD_UNIT": "stick.service",
	} {
		if got := steps[0][field]; got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	if !strings.HasPrefix(steps[0]["MESSAGE"], "step failed step=autorun result=failed") {
		t.Errorf("MESSAGE is %q", steps[0]["MESSAGE"])
	}
	for _, text := range []string{"configuration: ", "step refused", "signature is good", "script started", "stick finished, it may be pulled"} {
		id := agent.MessageID(text)
		if id == "" || len(entries(t, m, "MESSAGE_ID="+id)) == 0 {
			t.Errorf("no entry for %q (%s)", text, id)
		}
	}
	if slices.ContainsFunc(agents, func(e map[string]string) bool { return e["MESSAGE_ID"] == "" }) {
		t.Error("an entry of the agent has no MESSAGE_ID")
	}
	if script := entries(t, m, "-t", "usb-autorun"); slices.ContainsFunc(script, func(e map[string]string) bool { return e["MESSAGE_ID"] != "" || e["USBAGENT_STEP"] != "" }) {
		t.Error("a script's line has a field of the agent")
	}
}

// entries asks the journal.
func entries(t *testing.T, m *booted.Machine, match ...string) []map[string]string {
	t.Helper()
	var list []map[string]string
	for line := range strings.Lines(m.Run(t, append([]string{"journalctl", "-b", "-o", "json", "--no-pager"}, match...)...)) {
		var values map[string]any
		if err := json.Unmarshal([]byte(line), &values); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		entry := make(map[string]string)
		for name, value := range values {
			entry[name], _ = value.(string)
		}
		list = append(list, entry)
	}
	return list
}
