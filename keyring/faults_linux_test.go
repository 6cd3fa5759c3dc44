// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usbagent/signature"
	"usbagent/test/faults"
	"usbagent/test/need"
)

func TestMain(m *testing.M) {
	faults.Main(m, map[string]faults.Prepare{
		"install": func(dir string) (func() error, error) {
			v, err := verified(dir)
			if err != nil {
				return nil, err
			}
			k := parse(v.Bytes())
			return func() error { _, err := storeIn(dir).Install(v, k); return err }, nil
		},
		"restore": func(dir string) (func() error, error) {
			return func() error { _, err := storeIn(dir).Restore(); return err }, nil
		},
		"repair": func(dir string) (func() error, error) {
			return func() error { _, err := storeIn(dir).Repair(); return err }, nil
		},
	})
}

func storeIn(dir string) *Store { return Open(filepath.Join(dir, "rauc", "keyring.pem")) }

// verified verifies the keyring in dir, of which the fixture has a signature.
func verified(dir string) (*signature.Verified, error) {
	var files [3][]byte
	for i, name := range []string{"signer.pem", "new.pem", "new.pem.p7s"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		files[i] = text
	}
	return signature.Verify(parse(files[0]), signature.NewContent("fwupdate-keyring.pem", files[1]), files[2], signature.Options{})
}

// scene is a directory before an operation: what stands under each name
// ("-> target" for links), and the keyring that the operation brings.
type scene struct {
	operation string
	before    map[string]string
	now       string // under keyring.pem when it succeeded
	previous  string // and under keyring.pem.previous
	factory   string
}

func TestFaults(t *testing.T) {
	need.Root(t)
	vendor, alice, bob := newAuthority(t, "Vendor"), newAuthority(t, "Alice"), newAuthority(t, "Bob")
	p7s, err := signature.Sign(bob.pem, signature.SignOptions{Key: signature.NewSigningKey(alice.key), Certificate: alice.pem})
	if err != nil {
		t.Fatal(err)
	}
	A, B := string(alice.pem), string(bob.pem)
	scenes := map[string]scene{
		"install over a link, the first": {"install",
			map[string]string{"keyring.pem": "-> alice.pem"}, B, "-> alice.pem", "-> alice.pem"},
		"install over a file": {"install",
			map[string]string{"keyring.pem": A, "keyring.pem.previous": "-> vendor.pem", "keyring.pem.factory": "-> vendor.pem"}, B, A, "-> vendor.pem"},
		"restore a link": {"restore",
			map[string]string{"keyring.pem": A, "keyring.pem.previous": "-> vendor.pem", "keyring.pem.factory": "-> vendor.pem"}, "-> vendor.pem", A, "-> vendor.pem"},
		"restore a file": {"restore",
			map[string]string{"keyring.pem": A, "keyring.pem.previous": B, "keyring.pem.factory": "-> vendor.pem"}, B, A, "-> vendor.pem"},
		"repair what is missing": {"repair",
			map[string]string{"keyring.pem.previous": A, "keyring.pem.factory": "-> vendor.pem"}, A, A, "-> vendor.pem"},
		"repair after a power cut": {"repair",
			map[string]string{"keyring.pem": B, "keyring.pem.previous": "-> vendor.pem", "keyring.pem.previous.new": A, ".usbagent-keyring.pem.17": "x", "keyring.pem.factory": "-> vendor.pem"},
			B, A, "-> vendor.pem"},
	}
	for name, s := range scenes {
		setup := func(dir string) {
			os.Mkdir(filepath.Join(dir, "rauc"), 0o755)
			for path, text := range map[string][]byte{"signer.pem": alice.pem, "new.pem": bob.pem, "new.pem.p7s": p7s, "rauc/vendor.pem": vendor.pem, "rauc/alice.pem": alice.pem} {
				os.WriteFile(filepath.Join(dir, path), text, 0o644)
			}
			for path, text := range s.before {
				put(filepath.Join(dir, "rauc", path), text)
			}
		}
		t.Run(name, func(t *testing.T) {
			faults.Every(t, s.operation, setup, func(t *testing.T, dir string, o faults.Outcome) { s.check(t, dir, o) })
			s.order(t, faults.Calls(t, s.operation, setup))
			faults.PowerCuts(t, s.operation, setup, func(t *testing.T, dir string, o faults.Outcome) {
				if now := look(dir, "keyring.pem"); !o.Killed && now != s.now {
					t.Errorf("%v: the operation had returned, and the keyring is %.60q", o, now)
				}
				s.check(t, dir, o)
			})
		})
	}
}

func put(path, text string) {
	if target, ok := strings.CutPrefix(text, "-> "); ok {
		os.Symlink(target, path)
		return
	}
	os.WriteFile(path, []byte(text), 0o644)
}

func look(dir, name string) string {
	b := &board{dir: filepath.Join(dir, "rauc")}
	return b.state(name)
}

// check looks at the directory after one fault, and again after the repair
// that the next start does.
func (s scene) check(t *testing.T, dir string, o faults.Outcome) {
	old := s.before["keyring.pem"]
	now := look(dir, "keyring.pem")
	if s.operation != "install" && o.Fault == "EIO" && now == s.factory && now != s.now {
		s.now = now // the previous one could not be read, so the factory's came back
		s.previous = cmp.Or(old, s.before["keyring.pem.previous"])
	}
	if now != old && now != s.now {
		t.Errorf("%v: the keyring is neither the whole old nor the whole new one: %.80q", o, now)
	}
	if !o.Killed && s.operation != "repair" && (o.Err == "") != (now == s.now) {
		t.Errorf("%v: error %q, but the keyring is %.60q", o, o.Err, now)
	}
	for _, lost := range []string{"keyring.pem.previous", "keyring.pem.factory"} {
		if s.before[lost] != "" && look(dir, lost) == "" {
			t.Errorf("%v: %s is gone", o, lost)
		}
	}
	if _, err := storeIn(dir).Repair(); err != nil {
		t.Errorf("%v: the next start: %v", o, err)
	}
	now, previous, factory := look(dir, "keyring.pem"), look(dir, "keyring.pem.previous"), look(dir, "keyring.pem.factory")
	done := now == s.now && previous == s.previous
	undone := now == old && previous == s.before["keyring.pem.previous"]
	if !done && !(undone && old != "") {
		t.Errorf("%v: after the next start: now %.60q, previous %.60q", o, now, previous)
	}
	if factory != s.factory && !(undone && factory == s.before["keyring.pem.factory"]) {
		t.Errorf("%v: factory is %.60q", o, factory)
	}
	if _, err := storeIn(dir).Installed(); err != nil {
		t.Errorf("%v: %v", o, err)
	}
	known := []string{"alice.pem", "vendor.pem", "keyring.pem", "keyring.pem.previous", "keyring.pem.factory", ".usbagent-lock-keyring.pem"}
	entries, _ := os.ReadDir(filepath.Join(dir, "rauc"))
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) {
			t.Errorf("%v: left behind: %s", o, e.Name())
		}
	}
}

// order checks that a power cut, which forgets what was not synced, finds
// nothing else than a kill does: a written file is synced before it gets its
// name, and the directory is synced before the next name is given. What is
// about to be the previous keyring is there before the new one, and takes its
// name after it.
func (s scene) order(t *testing.T, calls []faults.Call) {
	unsynced, named := "", ""
	var names []string
	for _, c := range calls {
		switch c.Name {
		case "write", "fchmod", "symlinkat", "symlink":
			unsynced = c.Text
			if strings.HasPrefix(c.Name, "symlink") {
				unsynced = "" // a link has no data to sync
			}
		case "fsync", "fdatasync":
			if unsynced != "" {
				unsynced = ""
			} else {
				named = ""
			}
		case "renameat", "renameat2", "rename":
			if unsynced != "" {
				t.Errorf("renamed before it was synced: %s, then %s", unsynced, c.Text)
			}
			if named != "" {
				t.Errorf("the directory was not synced between %s and %s", named, c.Text)
			}
			named = c.Text
			parts := strings.Split(c.Text, `"`)
			names = append(names, strings.TrimPrefix(filepath.Base(parts[3]), "keyring.pem"))
		}
	}
	if unsynced != "" || named != "" {
		t.Errorf("not synced at the end: %q, %q", unsynced, named)
	}
	got := strings.Join(names, " ")
	want := map[string]string{"install": ".previous.new  .previous", "restore": ".previous.new  .previous"}[s.operation]
	if s.operation == "install" && s.before["keyring.pem.factory"] == "" {
		want = ".factory " + want
	}
	if want != "" && got != want {
		t.Errorf("names were given in the order %q, want %q", got, want)
	}
}
