// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// vouch is the line by which a script vouches for a file.
func vouch(path string, content []byte) string {
	return fmt.Sprintf("# usbagent: file %q sha256=%x size=%d\n", path, sha256.Sum256(content), len(content))
}

// TestBoardDirectives: what a script says about itself, obeyed by the agent in
// its own unit, with its few rights, on the file systems of real sticks.
func TestBoardDirectives(t *testing.T) {
	parallel(t)
	r := running(t)
	t.Run("Payload", func(t *testing.T) { r.on(t, payloads) })
	t.Run("Swapped", func(t *testing.T) { r.on(t, swappedPayload) })
	t.Run("OtherBoard", func(t *testing.T) { r.on(t, otherBoard) })
	t.Run("RunAlways", func(t *testing.T) { r.on(t, runAlways) })
}

// payloads: a small file, in memory, in another case of letters where the file
// system does not tell it, and a large one, on the data partition; line ends
// of Windows.
func payloads(r *rig) {
	small, large := []byte("configuration\n"), bytes.Repeat([]byte("large "), 400<<10)
	for _, fsType := range []string{"fat32", "exfat", "ntfs", "ext4"} {
		name := map[string]string{"fat32": "Config.TXT", "exfat": "CONFIG.txt"}[fsType]
		if name == "" {
			name = "config.txt"
		}
		text := vouch(name, small) + vouch("large", large) + "# usbagent: requires usbagent>=0.0\n"
		files := script(r.t, r.signer, strings.ReplaceAll(text, "\n", "\r\n")+"# "+fsType+"\n"+
			"(cat "+name+"; cat config.txt; wc -c <large; grep -c ' /media/.*//deleted\\|/payload' /proc/self/mountinfo; ls -l large) >/srv/said\n"+effect)
		stick := r.plain(fsType, "PAYLOAD", append(files, File{Name: "config.txt", Data: small}, File{Name: "large", Data: large})...)
		r.through(stick, "mount done", "autorun done")
		if got, want := r.file("/srv/said"), fmt.Sprintf("%s%s%d\n", small, small, len(large)); !strings.HasPrefix(got, want) {
			r.t.Errorf("%s: the script saw %q, want %q", fsType, got, want)
		}
		if left := r.sh("ls /srv/usbagent/staging /run/usbagent/payload | grep payload- || true; grep -c /media/PAYLOAD/ /proc/self/mountinfo || true"); left != "0" {
			r.t.Errorf("%s: left: %s", fsType, left)
		}
		r.pull(stick)
	}
	r.next("sticks with payload")
}

// swappedPayload: somebody who found a signed stick put other bytes on it.
func swappedPayload(r *rig) {
	before := r.runs()
	for _, fsType := range []string{"fat32", "ext4"} {
		files := script(r.t, r.signer, vouch("config.txt", []byte("configuration\n"))+effect)
		stick := r.plain(fsType, "SWAPPED", append(files, File{Name: "config.txt", Data: []byte("configuratiom\n")})...)
		done := r.through(stick, "mount done", "autorun refused")
		if done.Code != 4 || r.runs() != before {
			r.t.Errorf("%s: code %d, ran %d times", fsType, done.Code, r.runs()-before)
		}
		r.pull(stick)
	}
}

// otherBoard: the model is the device tree's, the serial number U-Boot's.
func otherBoard(r *rig) {
	before := r.runs()
	r.sh("fw_setenv 'serial#' CB77")
	for line, want := range map[string]string{
		`model="chargebyte Tarragon*" serial=CB77`: "done", `model="Other*"`: "skipped", `serial=CB78`: "skipped",
	} {
		stick := r.plain("fat32", "BOARD", script(r.t, r.signer, "# usbagent: board "+line+"\n"+effect)...)
		done := r.through(stick, "mount done", "autorun "+want)
		if done.Code != 0 {
			r.t.Errorf("%s: code %d", line, done.Code)
		}
		r.pull(stick)
	}
	if got := r.runs() - before; got != 1 {
		r.t.Errorf("the scripts ran %d times", got)
	}
}

// runAlways runs at each plug, and not again when the agent starts anew.
func runAlways(r *rig) {
	before := r.runs()
	for i := 1; i <= 2; i++ {
		stick := r.plain("fat32", "ALWAYS", script(r.t, r.signer, "# usbagent: run always\n"+effect)...)
		done := r.through(stick, "mount done", "autorun done")
		pid := r.status().PID
		r.sh("systemctl kill -s KILL usbagent")
		r.up(pid)
		r.shown(done)
		if got := r.runs() - before; got != i {
			r.t.Errorf("after plug %d the script ran %d times", i, got)
		}
		r.pull(stick)
	}
}
