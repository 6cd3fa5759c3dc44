// SPDX-License-Identifier: GPL-3.0-or-later

package deploy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// rule is one part of a line of udev(7), as far as ours needs it. (Debian 12's
// udevadm cannot verify a file; the emulated board shows what the rules do.)
var rule = regexp.MustCompile(`^(ACTION|SUBSYSTEM|SUBSYSTEMS|LABEL|GOTO|ENV\{[A-Z_]+\})(==|!=|=)"([^"]*)"$`)

func TestRules(t *testing.T) {
	text, err := os.ReadFile("udev/90-usbagent.rules")
	if err != nil {
		t.Fatal(err)
	}
	labels, jumps, set := map[string]bool{}, []string{}, map[string]string{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for part := range strings.SplitSeq(line, ",") {
			found := rule.FindStringSubmatch(strings.TrimSpace(part))
			if found == nil {
				t.Errorf("not understood: %s in %s", part, line)
				continue
			}
			switch key, operator, value := found[1], found[2], found[3]; {
			case key == "LABEL":
				labels[value] = true
			case key == "GOTO":
				jumps = append(jumps, value)
			case strings.HasPrefix(key, "ENV") && operator == "=":
				set[key] = value
				if !strings.Contains(line, `SUBSYSTEMS=="usb"`) {
					t.Errorf("%s is set for what is no stick", key)
				}
			}
		}
	}
	for _, label := range jumps {
		if !labels[label] {
			t.Errorf("GOTO %s leads nowhere", label)
		}
	}
	if set["ENV{UDISKS_IGNORE}"] != "1" || set["ENV{UDISKS_AUTO}"] != "0" || len(set) != 2 {
		t.Errorf("it sets %q", set)
	}
}

// TestTmpfiles: the list of executed scripts is never aged or emptied.
func TestTmpfiles(t *testing.T) {
	text, err := os.ReadFile("tmpfiles/usbagent.conf")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	if len(lines) != 1 || lines[0] != "d /var/cache/usb-autorun 0755 root root -" {
		t.Errorf("tmpfiles.d: %q", lines)
	}
}
