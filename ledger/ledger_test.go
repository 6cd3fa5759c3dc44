// SPDX-License-Identifier: GPL-3.0-or-later

package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t testing.TB, dir, boot string) *Ledger {
	t.Helper()
	l, err := Open(dir, boot)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func TestSticks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	l := open(t, dir, "boot-1")
	s := Stick{DiskSeq: 7, Device: "sda", Started: noon, Steps: []Step{{Step: "mount", Result: "done"}}}
	if err := l.PutStick(s); err != nil {
		t.Fatal(err)
	}
	if _, ok := l.Handled(7, "sda"); ok {
		t.Error("a stick that is not finished counts as handled")
	}
	s.Finished, s.Result, s.Code = noon.Add(time.Second), "failed", 3
	if err := l.PutStick(s); err != nil {
		t.Fatal(err)
	}
	s.BootID = "boot-1"
	for name, l := range map[string]*Ledger{"same": l, "reopened": open(t, dir, "boot-1")} {
		if got, ok := l.Handled(7, "sda"); !ok || !reflect.DeepEqual(got, s) {
			t.Errorf("%s: Handled = %+v, %v", name, got, ok)
		}
		if len(l.Sticks()) != 1 {
			t.Errorf("%s: %d sticks", name, len(l.Sticks()))
		}
		for _, other := range []struct {
			seq    uint64
			device string
		}{{8, "sda"}, {7, "sdb"}, {0, "sda"}} {
			if _, ok := l.Handled(other.seq, other.device); ok {
				t.Errorf("%s: %+v counts as handled", name, other)
			}
		}
	}
	if _, ok := open(t, dir, "boot-2").Handled(7, "sda"); ok {
		t.Error("handled in another boot")
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("directory has mode %v", info.Mode())
	}
}

func TestKernelWithoutDiskSeq(t *testing.T) {
	l := open(t, t.TempDir(), "b")
	l.PutStick(Stick{Device: "sda", Finished: noon})
	if _, ok := l.Handled(0, "sda"); ok {
		t.Error("without a DISKSEQ a replugged stick would be taken for the old one")
	}
}

func TestScripts(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, "boot-1")
	for _, s := range []Script{{ID: "a", MD5: "AB"}, {ID: "b", MD5: "ab"}, {ID: "c", MD5: "cd"}} {
		if err := l.ScriptStarted(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.ScriptEnded("b", 3, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	if err := l.ScriptEnded("none", 0, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("end of an unknown script: %v", err)
	}
	l = open(t, dir, "boot-2")
	got, ok := l.ScriptByMD5("AB")
	if !ok || got.ID != "b" || !got.Finished || got.Status != 3 || got.Signal != "SIGTERM" || got.BootID != "boot-1" || got.Ended.IsZero() {
		t.Errorf("newest with MD5 ab: %+v", got)
	}
	var left []string
	for _, s := range l.Unfinished() {
		left = append(left, s.ID)
	}
	if !reflect.DeepEqual(left, []string{"a", "c"}) {
		t.Errorf("unfinished: %v", left)
	}
}

func TestImagesAndKeyrings(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, "boot-1")
	l.ImageStarted(Image{ID: "x", Name: "old"})
	l.ImageStarted(Image{ID: "x", Name: "new"})
	if err := l.ImageEnded("x", "fell-back", "rootfs.1", "why"); err != nil {
		t.Fatal(err)
	}
	k := Keyring{Time: noon, Action: "rotate", Before: []string{"aa"}, After: []string{"bb", "cc"}, Signer: "CN=x"}
	if err := l.KeyringChanged(k); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, "boot-2")
	if got, ok := l.ImageByID("x"); !ok || got.Name != "new" || got.Result != "fell-back" || got.Reason != "why" {
		t.Errorf("image: %+v", got)
	}
	if list := l.Images(); len(list) != 2 || list[0].Result != "started" || list[0].Name != "old" {
		t.Errorf("images: %+v", list)
	}
	if got, ok := l.LastKeyring(); !ok || !reflect.DeepEqual(got, k) || len(l.Keyrings()) != 1 {
		t.Errorf("keyring: %+v", got)
	}
	if _, ok := l.ImageByID("y"); ok {
		t.Error("an image nobody stored")
	}
}

func TestLimits(t *testing.T) {
	l := open(t, t.TempDir(), "b")
	for i := range MaxSticks + 5 {
		l.sticks.entries = append(l.sticks.entries, Stick{DiskSeq: uint64(i)})
	}
	l.PutStick(Stick{DiskSeq: 1000, Label: strings.Repeat("ä", MaxString), Steps: make([]Step, MaxSteps+1)})
	list := l.Sticks()
	last := list[len(list)-1]
	if len(list) != MaxSticks || last.DiskSeq != 1000 || list[0].DiskSeq != 6 {
		t.Errorf("%d sticks, the first has %d", len(list), list[0].DiskSeq)
	}
	if len(last.Label) > MaxString || !strings.HasSuffix(last.Label, "ä…") || len(last.Steps) != MaxSteps {
		t.Errorf("label of %d bytes, %d steps", len(last.Label), len(last.Steps))
	}
	for i := range MaxKeyrings {
		l.keyrings.entries = append(l.keyrings.entries, Keyring{Action: fmt.Sprint(i)})
	}
	for range MaxImages {
		l.images.entries = append(l.images.entries, Image{})
	}
	for range MaxScripts {
		l.scripts.entries = append(l.scripts.entries, Script{})
	}
	if err := errors.Join(l.KeyringChanged(Keyring{}), l.ScriptStarted(Script{}), l.ImageStarted(Image{})); err != nil {
		t.Fatal(err)
	}
	if len(l.Keyrings()) != MaxKeyrings || len(l.Images()) != MaxImages || len(l.Unfinished()) != MaxScripts {
		t.Errorf("%d keyrings, %d images, %d scripts", len(l.Keyrings()), len(l.Images()), len(l.Unfinished()))
	}
}

// TestFileIsBounded: entries as large as entries get, and each byte six in JSON.
func TestFileIsBounded(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, "b")
	bad := strings.Repeat("<", MaxString)
	s := Stick{Label: bad}
	for range MaxSteps {
		s.Steps = append(s.Steps, Step{bad, bad, bad, bad, bad})
	}
	for i := range MaxSticks {
		s.DiskSeq = uint64(i)
		if i < MaxSticks-1 {
			l.sticks.entries = append(l.sticks.entries, s)
		}
	}
	if err := l.PutStick(s); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "sticks.json"))
	if err != nil || info.Size() > MaxFileSize {
		t.Fatalf("file: %v bytes, %v", info.Size(), err)
	}
	l = open(t, dir, "b")
	if list := l.Sticks(); len(list) == 0 || list[len(list)-1].DiskSeq != MaxSticks-1 || len(l.Damaged()) > 0 {
		t.Errorf("%d sticks, damaged: %v", len(list), l.Damaged())
	}
}

func TestCallersCannotReachIn(t *testing.T) {
	l := open(t, t.TempDir(), "b")
	steps := []Step{{Step: "mount"}}
	l.PutStick(Stick{DiskSeq: 1, Steps: steps})
	steps[0].Step = "changed"
	l.Sticks()[0].Steps[0].Step = "changed"
	if got := l.Sticks()[0].Steps[0].Step; got != "mount" {
		t.Errorf("step became %q", got)
	}
}

func TestClockNobodyTrusts(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, "b")
	for i, when := range []time.Time{time.Unix(1<<40, 0), time.Unix(-1<<40, 0), {}} {
		if err := l.PutStick(Stick{DiskSeq: uint64(i + 1), Started: when, Finished: when}); err != nil {
			t.Errorf("%v: %v", when.Unix(), err)
		}
	}
	if got := open(t, dir, "b").Sticks(); len(got) != 3 {
		t.Errorf("%d sticks", len(got))
	}
}

// TestTwoProcesses: the daemon and "keyring restore" lose nothing of each other's.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	ledgers := []*Ledger{open(t, dir, "b"), open(t, dir, "b")}
	var wg sync.WaitGroup
	const rounds = 20
	for i, l := range ledgers {
		wg.Add(2)
		for half := range 2 {
			go func() {
				defer wg.Done()
				for n := range rounds {
					if err := l.KeyringChanged(Keyring{Action: fmt.Sprint(i, half, n)}); err != nil {
						t.Error(err)
					}
					l.LastKeyring()
					l.Sticks()
				}
			}()
		}
	}
	wg.Wait()
	for i, l := range ledgers {
		if got := len(l.Keyrings()); got != 4*rounds {
			t.Errorf("ledger %d knows %d changes of %d", i, got, 4*rounds)
		}
	}
}
