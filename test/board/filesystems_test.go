// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// A tiny image in bytes, and how much of it does not compress: a verity bundle
// must be larger than one block.
const (
	tinySize    = 16 * mib
	tinyContent = 512 << 10
)

// tinyImage is a file system for a slot that is small and boots nothing.
func (p parts) tinyImage(t *testing.T) string {
	t.Helper()
	dir, err := p.cache.Layer("tiny", []string{"5"}, func(dir string) error {
		tree, noise := t.TempDir(), make([]byte, tinyContent)
		rand.NewChaCha8([32]byte{}).Read(noise)
		if err := os.WriteFile(filepath.Join(tree, "noise"), noise, 0o644); err != nil {
			return err
		}
		return makeExt4(filepath.Join(dir, "tiny.ext4"), tree, tinySize, "tiny")
	})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "tiny.ext4")
}

// tiny is a bundle of the customer's with the tiny image: for tests that look
// at the installation only. The board's reset after it ends the test.
func (p parts) tiny(t *testing.T, name, format, version string) File {
	t.Helper()
	return p.bundle(t, name, Bundle{Signer: p.fw.PKI.CustomerImages, Format: format, Version: version, Image: p.tinyImage(t)})
}

// TestBoardFileSystems plugs every file system that is mounted, as a whole disk
// and in both kinds of partition table, and lets keyring, script and image
// come from it: "plain" bundles too, which RAUC itself refuses on most of
// them. The ext ones belong to uid 1000 and have a dirty journal.
func TestBoardFileSystems(t *testing.T) {
	format := map[string]string{"disk": "plain", "mbr": "verity", "gpt": ""}
	for _, fsType := range []string{"ext2", "ext3", "ext4", "fat12", "fat16", "fat32", "exfat", "ntfs"} {
		for _, layout := range []string{"disk", "mbr", "gpt"} {
			t.Run(fsType+"/"+layout, func(t *testing.T) {
				parallel(t)
				fileSystem(t, fsType, layout, format[layout])
			})
		}
	}
}

// fileSystem plugs one stick; with a bundle format it has an image too.
func fileSystem(t *testing.T, fsType, layout, format string) {
	r := running(t)
	files := append(rotation(t, r.parts), script(t, r.fw.PKI.Customer, effect)...)
	if format != "" {
		files = append(files, r.tiny(t, "update.image", format, "2"))
	}
	stick := r.stick(layout, Part{FileSystem: FileSystem{
		Type: fsType, Label: "STICK", Files: files, Dirty: fsType == "ext3" || fsType == "ext4",
	}})
	if format != "" {
		r.installs(stick, "keyring", "autorun")
		r.inSlotB(r.tinyImage(t))
	} else {
		done := r.through(stick, "mount done", "keyring done", "autorun done")
		r.mounted(done, fsType, layout)
		r.pull(stick)
	}
	r.ranOnCard(1)
}

// installs plugs a stick with an image and cuts the power when the agent
// restarts the board: what has to be on the card is there by then. The journal
// tells of those steps and of the image.
func (r *rig) installs(s *Stick, steps ...string) {
	r.t.Helper()
	since := r.ConsoleSize()
	plugged := r.plug(s)
	r.lit(plugged)
	r.await("installing in status.json", later, func() bool { return r.status().State == "installing" })
	r.journal(since, "image installed, restarting the board", later)
	r.PowerCut()
	if r.LED.Blinks(plugged) == 0 {
		r.t.Error("the LED did not blink")
	}
	for _, step := range append(steps, "mount", "image") {
		r.journal(since, " step="+step+" result=done", soon)
	}
	if got := r.installed(); got != "B" {
		r.t.Errorf("the boot loader's first slot is %q", got)
	}
}

// inSlotB checks that the card's slot B holds the image.
func (r *rig) inSlotB(image string) {
	r.t.Helper()
	want, err := os.ReadFile(image)
	if err != nil {
		r.t.Fatal(err)
	}
	card, err := os.Open(r.Board.card)
	if err != nil {
		r.t.Fatal(err)
	}
	defer card.Close()
	got := make([]byte, len(want))
	if _, err := card.ReadAt(got, slotStart("B")); err != nil || !bytes.Equal(got, want) {
		r.t.Errorf("slot B does not hold the image, %v", err)
	}
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
	if keyring, err := root.Read("/etc/rauc/keyring.pem"); err != nil || string(keyring) != customerCA(r.t, r.parts) {
		r.t.Errorf("keyring on the card: %d bytes, %v", len(keyring), err)
	}
}

// TestBoardHostileNames plugs sticks whose labels and partition names are what
// a shell, a path or a log would trip over. Nothing in them runs, nothing is
// mounted elsewhere, and the script on each is still run.
func TestBoardHostileNames(t *testing.T) {
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
		{Type: "ntfs", Label: strings.Repeat("é", 127) + "="}, // 255 bytes
	}
	outside := "sha256sum /etc/rauc/keyring.pem; ls -A / /etc/rauc /etc; systemctl is-active usbagent"
	before := r.sh(outside)
	r.hostileTable(hostile)
	for _, i := range []int{2, 8, 10, 12} { // one of each kind as a whole disk
		fs := hostile[i]
		fs.Files = script(t, r.fw.PKI.Vendor, "# disk\n"+effect+"\n# "+fmt.Sprintf("%q", fs.Label))
		one := r.stick("disk", Part{FileSystem: fs})
		runs := r.runs()
		done := r.through(one, "mount done", "autorun done")
		if r.runs() != runs+1 || filepath.Dir(done.Mountpoint) != "/media" {
			t.Errorf("label %q: %s", fs.Label, done)
		}
		r.pull(one)
	}
	if now := r.sh(outside); now != before {
		t.Errorf("something changed outside /media: %s", now)
	}
	if len(r.Starts()) != 1 {
		t.Error("the board restarted")
	}
}

// hostileTable plugs all of them as partitions of one stick, whose GPT has
// names of the same kind.
func (r *rig) hostileTable(hostile []FileSystem) {
	r.t.Helper()
	var parts []Part
	var mounts, scripts []string
	for _, fs := range hostile {
		fs.Files = script(r.t, r.fw.PKI.Vendor, effect+"\n# "+fmt.Sprintf("%q", fs.Label))
		parts = append(parts, Part{FileSystem: fs})
		mounts, scripts = append(mounts, "mount done"), append(scripts, "autorun done")
	}
	stick := r.stick("gpt", parts...)
	names := [][]uint16{
		utf16.Encode([]rune("x\n$(reboot)\nID_FS_LABEL=y")), utf16.Encode([]rune("$(reboot)")), utf16.Encode([]rune(";reboot;")),
		utf16.Encode([]rune("../../etc/rauc")), utf16.Encode([]rune(`a"b'c\`)), utf16.Encode([]rune("ID_FS_LABEL=y")),
		{0xd800, 'x', 0xdc00, 0xffff}, // no text at all
		utf16.Encode([]rune(strings.Repeat("é", 36))), {'a', 0, 'b', 0x1b, '[', '3', '1', 'm'},
	}
	for i, name := range names {
		if err := patchGPTName(stick.Media[0], i+1, name); err != nil {
			r.t.Fatal(err)
		}
	}
	done := r.through(stick, append(mounts, scripts...)...)
	if n := r.mounts(); n != len(hostile) {
		r.t.Errorf("%d mounts below /media, want %d", n, len(hostile))
	}
	if n := r.runs(); n != len(hostile) {
		r.t.Errorf("%d scripts ran: %s", n, done)
	}
	text := r.file("/run/usbagent/status.json")
	if strings.Contains(text, "\x1b") || !utf8.ValidString(text) || strings.Contains(r.Console(0), "\x1b[31m") {
		r.t.Error("raw control bytes in status.json or in the journal")
	}
	r.pull(stick)
}
