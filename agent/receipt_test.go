// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"usbagent/ledger"
)

func TestReceiptFileName(t *testing.T) {
	plain := regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	seen := make(map[string]string)
	for _, serial := range []string{"CB2345678", "4711-0815.a_b", "", "../../etc/passwd", "a/b", "a_b", "..", ".hidden", "-rf", "con", "COM1.x", "nul",
		"Straße 1", "x\x00y", "x\ny", "CB 1", "CB:1", strings.Repeat("9", 64), strings.Repeat("9", 65), strings.Repeat("9", 5000), "a.", "\xff\xfe"} {
		name := Board{Serial: serial}.FileName()
		if !plain.MatchString(name) || len(name) > maxFileName || strings.HasSuffix(name, ".") {
			t.Errorf("%q becomes %q", serial, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %q both become %q", serial, other, name)
		}
		seen[name] = serial
	}
	for _, serial := range []string{"CB2345678", "4711-0815.a_b"} {
		if name := (Board{Serial: serial, Machine: "m"}).FileName(); name != serial {
			t.Errorf("%q becomes %q", serial, name)
		}
	}
	if name := (Board{Machine: "machine-0123456789ab"}).FileName(); name != "machine-0123456789ab" {
		t.Errorf("without a serial number: %q", name)
	}
	first, _, _ := strings.Cut(Board{Serial: "con"}.FileName(), ".")
	if first == "con" {
		t.Error("a name that Windows keeps for a device")
	}
}

// TestReceiptIsBounded fills everything with more than there may be.
func TestReceiptIsBounded(t *testing.T) {
	long := strings.Repeat("x\x1b[31m\u202e\\", 1000)
	lines := strings.Fields(strings.Repeat(long+" ", 100))
	r := Receipt{Board: Board{Serial: "1", Model: long, Firmware: long}, Written: time.Unix(0, 0), Result: Failed, Code: CodeScript, Meaning: Meaning(CodeScript)}
	for range 300 {
		r.Steps = append(r.Steps, ledger.Step{Step: StepAutorun, Result: Failed, Reason: long})
		r.Output = append(r.Output, Output{Device: "sda1", Lines: lines})
	}
	r.Earlier = &Earlier{Steps: r.Steps}
	files, err := r.files()
	if err != nil || len(files) != 2 || files[0].name != "1.json" || files[1].name != "1.txt" {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if len(f.content) > MaxReceipt {
			t.Errorf("%s has %d bytes", f.name, len(f.content))
		}
	}
	for i, c := range string(files[1].content) {
		if c < 0x20 && c != '\r' && c != '\n' || c == '\u202e' {
			t.Fatalf("a control character at %d", i)
		}
	}
	var again Receipt
	if err := json.Unmarshal(files[0].content, &again); err != nil {
		t.Fatal(err)
	}
	if len(again.Steps) > MaxReceiptSteps || len(again.Output) > MaxReceiptOutputs {
		t.Errorf("%d steps, %d outputs", len(again.Steps), len(again.Output))
	}
	for _, o := range again.Output {
		if len(o.Lines) > MaxReceiptLines {
			t.Errorf("%d lines", len(o.Lines))
		}
		for _, line := range o.Lines {
			if len(line) > MaxReceiptLine {
				t.Errorf("a line has %d bytes", len(line))
			}
		}
	}
}

func TestReceiptText(t *testing.T) {
	r := Receipt{
		Board: Board{Model: "chargebyte Tarragon Master", Serial: "CB1", Firmware: "2.1.0"}, Agent: "1.0", Written: time.Unix(0, 0), Device: "sda", Label: "STICK", Filesystem: "vfat",
		Code: CodeStatus, Meaning: Meaning(CodeStatus), Restarting: true, Keyring: KeyringChange{Before: []string{"aa"}, After: []string{"bb"}},
		Steps:   []ledger.Step{{Step: StepAutorun, Device: "sda1", File: "autorun.sh", Result: Failed, Reason: "ended with exit status 3"}},
		Output:  []Output{{Device: "sda1", Lines: []string{"no such file"}}},
		Earlier: &Earlier{Image: "a.image", Version: "1", Result: "arrived"},
	}
	text := r.text()
	for _, want := range []string{"CB1", "2.1.0", "usbagent 1.0", "FAILED: script failed (the LED flashes 5 times)", "restarts into the new system",
		"autorun  failed   autorun.sh: ended with exit status 3", "  aa\r\n", "Keyring after\r\n  bb", "  no such file", "image a.image, version \"1\", arrived"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Count(text, "\n") != strings.Count(text, "\r\n") {
		t.Error("mixed line ends")
	}
}
