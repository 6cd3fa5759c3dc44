// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"usbagent/test/need"
)

// tiny is a bundle whose image is small and boots nothing: for tests that look
// at the installation only. The board's reset after it ends the test.
func (p parts) tiny(t *testing.T, name, format, version string) File {
	t.Helper()
	dir, err := p.cache.Layer("tiny", []string{"2"}, func(dir string) error {
		return makeExt4(filepath.Join(dir, "tiny.ext4"), t.TempDir(), 16*mib, "tiny")
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.bundle(t, name, Bundle{
		Signer: p.fw.PKI.CustomerImages, Format: format, Version: version, Image: filepath.Join(dir, "tiny.ext4"),
	})
}

// TestBoardFileSystems plugs every file system of SPEC 2.3, as a whole disk
// and in both kinds of partition table, and lets keyring, script and image
// come from it: "plain" bundles too, which RAUC itself refuses on most of
// them. The ext ones belong to uid 1000 and have a dirty journal.
func TestBoardFileSystems(t *testing.T) {
	need.BoardScenario(t)
	need := map[string]string{"disk": "plain", "mbr": "verity", "gpt": ""}
	for _, fsType := range []string{"ext2", "ext3", "ext4", "fat12", "fat16", "fat32", "exfat", "ntfs"} {
		for _, layout := range []string{"disk", "mbr", "gpt"} {
			t.Run(fsType+"/"+layout, func(t *testing.T) {
				parallel(t)
				fileSystem(t, fsType, layout, need[layout])
			})
		}
	}
}

// fileSystem plugs one stick; with a bundle format it has an image too.
func fileSystem(t *testing.T, fsType, layout, format string) {
	r := running(t)
	r.StayOff() // the reset after the installation ends the test
	files := append(rotation(t, r.parts), script(t, r.fw.PKI.Customer, effect)...)
	want := []string{"mount done", "keyring done", "autorun done"}
	if format != "" {
		files = append(files, r.tiny(t, "update.image", format, "2"))
		want = append(want, "image done")
	}
	stick := r.stick(layout, Part{FileSystem: FileSystem{
		Type: fsType, Label: "STICK", Files: files, Dirty: fsType == "ext3" || fsType == "ext4",
	}})
	plugged := r.plug(stick)
	r.lit(plugged)
	if format == "" {
		done := r.finished(later)
		r.expect(done, want...)
		r.mounted(done, fsType, layout)
		r.pull(stick)
	} else {
		r.journal(0, "image installed, restarting the board", later)
		if r.LED.Blinks(plugged) == 0 {
			t.Error("the LED did not blink")
		}
		select {
		case <-r.Off():
		default:
			r.journal(0, "stick found", soon)
			<-r.Off()
		}
		if got := r.installed(); got != "B" {
			t.Errorf("the boot loader's first slot is %q", got)
		}
	}
	r.ranOnCard(1)
}

// mounted checks what the file system of a finished stick looks like inside.
func (r *rig) mounted(s StickResult, fsType, layout string) {
	r.t.Helper()
	device := map[string]string{"disk": "/dev/sda", "mbr": "/dev/sda1", "gpt": "/dev/sda1"}[layout]
	if s.Label != "STICK" || s.Mountpoint != "/media/STICK" {
		r.t.Errorf("status: %s", s)
	}
	line := r.sh("grep ' /media/STICK ' /proc/self/mountinfo")
	for _, want := range []string{" ro,", "nosuid", "nodev", " " + device + " "} {
		if !strings.Contains(line, want) {
			r.t.Errorf("mountinfo %q lacks %q", line, want)
		}
	}
	if !strings.HasPrefix(fsType, "ext") {
		if got := r.sh("stat -c '%u %a' /media/STICK/autorun.sh"); got != "0 755" {
			r.t.Errorf("owner and mode on %s: %s", fsType, got)
		}
	}
}

// installed is the slot that a powered-off board would boot.
func (r *rig) installed() string {
	env, err := readEnvironment(r.Board.card)
	if err != nil {
		r.t.Fatal(err)
	}
	first, _, _ := strings.Cut(env["BOOT_ORDER"], " ")
	return first
}

// ranOnCard checks, on the card of a board that is off or cut off now, how
// often the script ran and that the keyring is the customer's.
func (r *rig) ranOnCard(want int) {
	r.t.Helper()
	select {
	case <-r.Off():
	default:
		r.sh("sync")
	}
	card := r.PowerCut()
	srv, err := card.FileSystem("srv", filepath.Join(r.dir, "srv.img"))
	if err != nil {
		r.t.Fatal(err)
	}
	if runs, err := srv.Read("/runs"); err != nil || strings.Count(string(runs), "run") != want {
		r.t.Errorf("the script's traces: %q, %v; want %d", runs, err, want)
	}
	root, err := card.FileSystem("A", filepath.Join(r.dir, "a.img"))
	if err != nil {
		r.t.Fatal(err)
	}
	customer, err := os.ReadFile(r.fw.PKI.CustomerCA)
	if err != nil {
		r.t.Fatal(err)
	}
	if keyring, err := root.Read("/etc/rauc/keyring.pem"); err != nil || string(keyring) != string(customer) {
		r.t.Errorf("keyring on the card: %d bytes, %v", len(keyring), err)
	}
}

// TestBoardHostileNames plugs sticks whose labels and partition names are what
// a shell, a path or a log would trip over. Nothing in them runs, nothing is
// mounted elsewhere, and the script on each is still run.
func TestBoardHostileNames(t *testing.T) {
	need.BoardScenario(t)
	parallel(t)
	r := running(t)
	hostile := []FileSystem{
		{Type: "ext4", Label: "$(touch /o)"},
		{Type: "ext2", Label: ";touch /o;"},
		{Type: "ext4", Label: "../etc/rauc"},
		{Type: "ext2", Label: `'"\`},
		{Type: "ext2", Label: "a=b\nc=d"},
		{Type: "ext2", Label: "\xff\xfe\x1b[31m"},
		{Type: "ext2", Label: ".."},
		{Type: "ext2", Label: strings.Repeat("é", 8)},
		{Type: "fat32", Label: "$(reboot)"},
		{Type: "fat32", Label: "`reboot`"},
		{Type: "exfat", Label: "$(reboot);'"},
		{Type: "ntfs", Label: strings.Repeat("../etc/rauc;$(reboot)\"", 5)},
	}
	keyring := r.sh("sha256sum /etc/rauc/keyring.pem; ls -A / /etc/rauc")
	var parts []Part
	for i, fs := range hostile {
		if i == 0 {
			fs.Files = script(t, r.fw.PKI.Vendor, effect)
		}
		name := []string{"$(reboot)", "a\\x0ab", ";reboot;", "../../etc", strings.Repeat("x", 36)}[i%5]
		parts = append(parts, Part{FileSystem: fs, Name: name})
	}
	stick := r.stick("gpt", parts...)
	newlineName(t, stick.Media[0])
	r.plug(stick)
	done := r.finished(later)
	if mounts := r.mounts(); mounts != len(hostile) {
		t.Errorf("%d mounts below /media, want %d", mounts, len(hostile))
	}
	if n := r.runs(); n != 1 {
		t.Errorf("the script ran %d times: %s", n, done)
	}
	if text := r.file("/run/usbagent/status.json"); strings.Contains(text, "\x1b") || !utf8.ValidString(text) {
		t.Error("raw control bytes in status.json")
	}
	r.pull(stick)
	for _, fs := range hostile {
		fs.Files = script(t, r.fw.PKI.Vendor, "# "+fmt.Sprintf("%q", fs.Label)+"\n"+effect)
		one := r.stick("disk", Part{FileSystem: fs})
		before := r.runs()
		r.plug(one)
		done := r.finished(later)
		r.expect(done, "mount done", "autorun done")
		if r.runs() != before+1 || !strings.HasPrefix(done.Mountpoint, "/media/") {
			t.Errorf("label %q: %s", fs.Label, done)
		}
		r.pull(one)
	}
	if now := r.sh("sha256sum /etc/rauc/keyring.pem; ls -A / /etc/rauc"); now != keyring {
		t.Errorf("something changed outside /media: %s", now)
	}
	if len(r.Starts()) != 1 {
		t.Error("the board restarted")
	}
}

// newlineName writes a newline into the first GPT partition name, which sfdisk
// would not do: in UTF-16 at the start of the entry's name field. The table's
// checksum is made right again.
func newlineName(t *testing.T, image string) {
	t.Helper()
	if err := patchGPTName(image, 1, "x\n$(reboot)\nID_FS_LABEL=y"); err != nil {
		t.Fatal(err)
	}
}
