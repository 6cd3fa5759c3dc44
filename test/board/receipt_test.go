// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestBoardReceipt has the board, with the shipped unit's confinement, leave
// receipts on sticks of each file system that it writes to: owned by uid 1000
// where there are owners. Each is then read on the host from the stick itself,
// whose file system has to be sound.
func TestBoardReceipt(t *testing.T) {
	parallel(t)
	r := running(t)
	r.sh("mkdir -p /etc/usbagent")
	r.put(configPath, "[report]\non_stick = true\n")
	r.sh("systemctl restart usbagent")
	fsck := map[string][]string{"ext4": {"e2fsck", "-fn"}, "fat32": {"fsck.vfat", "-n"}, "exfat": {"fsck.exfat", "-n"}}
	for _, fsType := range []string{"ext4", "fat32", "exfat", "ntfs"} {
		lines := "echo on " + fsType + "\n" + effect
		stick := r.stick("disk", Part{FileSystem: FileSystem{Type: fsType, Label: "RECEIPT", Files: script(t, r.fw.PKI.Vendor, lines)}})
		r.plug(stick)
		done := r.finished(later)
		if fsType == "ntfs" {
			r.expect(done, "mount done", "autorun done", "report skipped")
			r.pull(stick)
			continue
		}
		r.expect(done, "mount done", "autorun done", "report done")
		if line := r.sh("grep ' /media/RECEIPT ' /proc/self/mountinfo"); !strings.Contains(line, " ro,nosuid,nodev") || strings.Contains(line, " rw,") {
			t.Errorf("%s: mounted %q", fsType, line)
		}
		name := r.sh("ls /media/RECEIPT/usbagent-report/*.json")
		text := r.file(name)
		r.pull(stick)
		var receipt struct {
			Board  struct{ Model string }
			Code   int
			Steps  []Step
			Output []struct{ Lines []string } `json:"script_output"`
		}
		if err := json.Unmarshal([]byte(text), &receipt); err != nil || receipt.Board.Model != Model || receipt.Code != 0 || len(receipt.Steps) != 2 {
			t.Errorf("%s: %v: %s", fsType, err, text)
		}
		if len(receipt.Output) != 1 || !slices.Contains(receipt.Output[0].Lines, "on "+fsType) {
			t.Errorf("%s: the script's lines: %+v", fsType, receipt.Output)
		}
		if out, err := exec.Command(fsck[fsType][0], append(fsck[fsType][1:], stick.Media[0])...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", fsType, err, out)
		}
	}
}
