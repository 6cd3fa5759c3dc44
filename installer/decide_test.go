// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"strings"
	"testing"
)

var (
	sumOld = strings.Repeat("01", 32)
	sumNew = strings.Repeat("02", 32)
)

// board returns a board that runs from A: the digests of its two root file
// systems, and the slot that boots next.
func board(a, b, primary string) System {
	return System{Compatible: "board", Primary: primary, Slots: []Slot{
		{Name: "rootfs.0", Class: "rootfs", BootName: "A", State: Booted, SHA256: a},
		{Name: "rootfs.1", Class: "rootfs", BootName: "B", State: Inactive, SHA256: b, BootStatus: "bad"},
	}}
}

func bundleOf(sum string) Info {
	return Info{Compatible: "board", Version: "2", Images: []Image{{Class: "rootfs", SHA256: sum}}}
}

func TestDecide(t *testing.T) {
	const a, b = "rootfs.0", "rootfs.1"
	foreign := bundleOf(sumNew)
	foreign.Compatible = "another board"
	half := board("", sumNew, a)
	half.Slots[1].Status = "update"
	boot := Situation{AtBoot: true}
	for _, c := range []struct {
		sentence string // of the rules
		info     Info
		system   System
		at       Situation
		want     Action
		fellBack bool
	}{
		{"skipped when not compatible with the system", foreign, board("", "", a), Situation{}, Mismatch, false},
		{"not compatible, even if a slot holds it", foreign, board(sumNew, "", a), boot, Mismatch, false},
		{"when the booted slots hold it already", bundleOf(sumNew), board(sumNew, "", a), Situation{}, Skip, false},
		{"the booted slots hold it already, at boot", bundleOf(sumNew), board(sumNew, sumOld, a), boot, Skip, false},
		{"at boot, when either slot holds it", bundleOf(sumNew), board(sumOld, sumNew, a), boot, Skip, false},
		{"at boot, either slot: half an installation is none", bundleOf(sumNew), half, boot, Install, false},
		{"or the state directory says it was installed before", bundleOf(sumNew), board(sumOld, "", a), Situation{AtBoot: true, Installed: true, Arrived: true}, Skip, false},
		{"no ping-pong of two images", bundleOf(sumNew), board(sumOld, "", a), Situation{AtBoot: true, Installed: true, Arrived: true}, Skip, false},
		{"manual rollback stays rolled back", bundleOf(sumNew), board(sumOld, sumNew, a), Situation{AtBoot: true, Installed: true, Arrived: true}, Skip, false},
		{"told with code 6 if the board fell back from it", bundleOf(sumNew), board(sumOld, sumNew, a), Situation{AtBoot: true, Installed: true}, Refuse, true},
		{"a fresh plug tries again after a fall back", bundleOf(sumNew), board(sumOld, sumNew, a), Situation{Installed: true}, Install, false},
		{"a fresh plug tries again after a rollback", bundleOf(sumNew), board(sumOld, sumNew, a), Situation{Installed: true, Arrived: true}, Install, false},
		{"else it is installed", bundleOf(sumNew), board(sumOld, sumOld, a), Situation{}, Install, false},
		{"else it is installed, at boot", bundleOf(sumNew), board(sumOld, sumOld, a), boot, Install, false},
		{"slots flashed in the factory have no digest", bundleOf(sumNew), board("", "", a), boot, Install, false},
		{"an installation that has not been booted yet is not overwritten", bundleOf(sumNew), board(sumOld, sumOld, b), Situation{}, Refuse, false},
		{"not overwritten, at boot", bundleOf(sumNew), board("", "", b), boot, Refuse, false},
		{"not booted yet, the same image", bundleOf(sumNew), board(sumOld, sumNew, b), Situation{}, Skip, false},
		{"not booted yet, the same image, ours, at boot", bundleOf(sumNew), board(sumOld, sumNew, b), Situation{AtBoot: true, Installed: true}, Skip, false},
		{"waits since before the last restart: a plug tries again", bundleOf(sumNew), board(sumOld, sumOld, b), Situation{Restarted: true}, Install, false},
		{"waits since before the last restart, at boot: it fell back", bundleOf(sumNew), board(sumOld, sumNew, b), Situation{AtBoot: true, Installed: true, Restarted: true}, Refuse, true},
		{"fell back from it long ago, another is there now", bundleOf(sumNew), board(sumOld, sumOld, a), Situation{AtBoot: true, Installed: true}, Skip, false},
		{"fell back from it, content not looked at yet", Info{Compatible: "board"}, board(sumOld, sumNew, a), Situation{AtBoot: true, Installed: true}, Refuse, true},
		{"ours, where the boot loader does not say", bundleOf(sumNew), board(sumOld, sumOld, ""), Situation{Waiting: "old.image"}, Refuse, false},
		{"ours and the same, where the boot loader does not say", bundleOf(sumNew), board(sumOld, sumNew, ""), Situation{Waiting: "new.image"}, Skip, false},
		{"a boot loader that says: nothing waits", bundleOf(sumNew), board(sumOld, sumOld, a), Situation{Waiting: "old.image"}, Install, false},
		{"one installation for each plug: another image of the stick, at the boot after", bundleOf(sumNew), board(sumOld, sumOld, a), Situation{AtBoot: true, Followed: true}, Skip, false},
		{"one installation for each plug: and at later boots", bundleOf(sumNew), board(sumOld, sumOld, a), Situation{AtBoot: true, PassedOver: true}, Skip, false},
		{"one installation for each plug: told where the board went back", bundleOf(sumNew), board(sumOld, sumOld, a), Situation{AtBoot: true, Followed: true, Restarted: true}, Refuse, false},
		{"one installation for each plug: a fresh plug", bundleOf(sumNew), board(sumOld, sumOld, a), Situation{Followed: true, PassedOver: true}, Install, false},
		{"no slots (command): a plug installs", bundleOf(sumNew), System{}, Situation{Installed: true, Arrived: true}, Install, false},
		{"no slots (command): not again at boot", bundleOf(sumNew), System{}, Situation{AtBoot: true, Installed: true, Arrived: true}, Skip, false},
	} {
		got := Decide(c.info, c.system, c.at)
		if passed := c.at.AtBoot && (c.at.Followed || c.at.PassedOver); got.PassedOver != passed {
			t.Errorf("%s: passed over: %v", c.sentence, got.PassedOver)
		}
		if got.Action != c.want || got.FellBack != c.fellBack || got.Reason == "" {
			t.Errorf("%s: %+v; want %s, fell back %v", c.sentence, got, c.want, c.fellBack)
		}
	}
}

// groups is a board with a root and an application slot in each group, and a
// boot loader's partition that belongs to none.
func groups() System {
	return System{Compatible: "board", Variant: "big", Primary: "rootfs.0", Slots: []Slot{
		{Name: "rootfs.0", Class: "rootfs", BootName: "A", State: Booted, SHA256: "r1"},
		{Name: "appfs.0", Class: "appfs", Parent: "rootfs.0", State: Active, SHA256: "a1"},
		{Name: "rootfs.1", Class: "rootfs", BootName: "B", State: Inactive, SHA256: "r2"},
		{Name: "appfs.1", Class: "appfs", Parent: "rootfs.1", State: Inactive, SHA256: "a2"},
		{Name: "bootloader.0", Class: "bootloader", State: Inactive, SHA256: "b1"},
	}}
}

func TestGroups(t *testing.T) {
	images := func(list ...string) (i Info) {
		for _, one := range list {
			class, sum, _ := strings.Cut(one, " ")
			class, variant, _ := strings.Cut(class, ".")
			i.Images = append(i.Images, Image{Class: class, Variant: variant, SHA256: sum})
		}
		return i
	}
	for _, c := range []struct {
		info       Info
		runs, kept bool
	}{
		{images("rootfs r1", "appfs a1"), true, false},
		{images("rootfs r2", "appfs a2"), false, true},
		{images("rootfs r1", "appfs a2"), false, false},
		{images("rootfs r1", "bootloader b1"), true, false},
		{images("rootfs r1", "bootloader b2"), false, false},
		{images("bootloader b1"), true, true},
		{images("rootfs r9", "rootfs.big r1", "rootfs.small r2"), true, false},
		{images("rootfs r1", "rootfs.small r9"), true, false},
		{images("rootfs "), false, false},
		{images("rootfs r1", "appfs "), true, false}, // appfs is made by a hook
		{images("none x", "rootfs r1"), false, false},
		{images(), false, false},
	} {
		if runs, kept := groups().Runs(c.info), groups().Kept(c.info); runs != c.runs || kept != c.kept {
			t.Errorf("%+v: runs %v, kept %v; want %v, %v", c.info.Images, runs, kept, c.runs, c.kept)
		}
	}
}

// TestParentsInACircle: whatever a service says about parents, it ends.
func TestParentsInACircle(t *testing.T) {
	s := System{Primary: "x", Slots: []Slot{
		{Name: "x", Parent: "y", SHA256: "1", Class: "c"}, {Name: "y", Parent: "x", State: Booted}}}
	s.Unproven()
	s.Runs(Info{Images: []Image{{Class: "c", SHA256: "1"}}})
}

func TestConfirmHooksOnly(t *testing.T) {
	info := Info{Compatible: "board", Images: []Image{{Class: "rootfs"}}}
	if _, err := Confirm(info, board(sumOld, "", "rootfs.1")); err != nil {
		t.Errorf("an image without digest that boots next: %v", err)
	}
	if _, err := Confirm(info, board(sumOld, "", "rootfs.0")); err == nil {
		t.Error("an image without digest was confirmed though nothing else boots next")
	}
	keeps := board(sumOld, sumNew, "rootfs.0")
	if _, err := Confirm(bundleOf(sumNew), keeps); err == nil {
		t.Error("confirmed though the old system boots next")
	}
	keeps.KeepsPrimary = true
	if _, err := Confirm(bundleOf(sumNew), keeps); err != nil {
		t.Errorf("activate-installed=false: %v", err)
	}
}

func TestMustStage(t *testing.T) {
	strict, err := ParseSystemConf([]byte("[system]\nbundle-formats=-plain\n"))
	if err != nil {
		t.Fatal(err)
	}
	lax, err := ParseSystemConf([]byte("[system]\ncompatible=x\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		facts StageFacts
		want  bool
		word  string // of the reason
	}{
		{"never", StageFacts{Direct: DirectNever, Format: Verity, Conf: strict, Binds: true}, true, "never"},
		{"always", StageFacts{Direct: DirectAlways, Format: Plain}, false, "always"},
		{"verity, RAUC accepts no plain", StageFacts{Direct: DirectAuto, Format: Verity, Conf: strict}, false, "no plain"},
		{"crypt, RAUC accepts no plain", StageFacts{Direct: DirectAuto, Format: Crypt, Conf: strict}, false, "no plain"},
		{"verity, bound to the manifest", StageFacts{Direct: DirectAuto, Format: Verity, Conf: lax, Binds: true}, false, "no other manifest"},
		{"verity, RAUC accepts plain", StageFacts{Direct: DirectAuto, Format: Verity, Conf: lax}, true, "in this one's place"},
		{"verity, RAUC's configuration unknown", StageFacts{Direct: DirectAuto, Format: Verity}, true, "in this one's place"},
		{"plain, bound all the same", StageFacts{Direct: DirectAuto, Format: Plain, Binds: true}, true, "change it afterwards"},
		{"plain on exFAT", StageFacts{Direct: DirectAuto, Format: Plain, Location: Location{Type: "exfat"}}, true, "exfat"},
		{"plain on FUSE", StageFacts{Direct: DirectAuto, Format: Plain, Location: Location{FUSE: true}}, true, "FUSE"},
		{"plain of uid 1000", StageFacts{Direct: DirectAuto, Format: Plain, Location: Location{UID: 1000}}, true, "uid 1000"},
		{"plain, mode 0664", StageFacts{Direct: DirectAuto, Format: Plain, Location: Location{Mode: 0o664}}, true, "0664"},
		{"format unknown", StageFacts{Direct: DirectAuto}, true, "plain"},
		{"setting unknown", StageFacts{Direct: "?", Format: Plain}, true, "plain"},
	} {
		got, reason := MustStage(c.facts)
		if got != c.want || !strings.Contains(reason, c.word) {
			t.Errorf("%s: %v, %q; want %v and %q", c.name, got, reason, c.want, c.word)
		}
	}
}
