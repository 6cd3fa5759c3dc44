// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"usbagent/test/need"
)

// parts is what every test on the board shares; it is built once.
type parts struct {
	cache   *Cache
	fw      *Firmware
	agent   *Agent
	running Snapshot
	card    string
	slot    string
}

var built = sync.OnceValues(func() (parts, error) {
	var p parts
	var err error
	if p.cache, err = OpenCache(); err != nil {
		return p, err
	}
	if p.fw, err = BuildFirmware(p.cache); err != nil {
		return p, err
	}
	if p.agent, err = BuildAgent(p.cache, "arm"); err != nil {
		return p, err
	}
	if p.slot, err = SlotImage(p.cache, p.fw, p.agent); err != nil {
		return p, err
	}
	if p.card, err = NewCard(p.cache, p.fw, p.agent); err != nil {
		return p, err
	}
	p.running, err = Running(p.cache, p.fw, p.agent)
	return p, err
})

// everything builds the board or fails the test.
func everything(t *testing.T) parts {
	t.Helper()
	need.Board(t)
	need.Root(t)
	p, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// rig is a board under test. Its methods fail the test where the board does
// not do what it should within a bound that only a broken board exceeds.
type rig struct {
	*Board
	parts
	t      *testing.T
	began  time.Time
	sticks int
	since  int64  // where on the console the last start that was awaited begins
	signer Signer // whom the board trusts now
	uas    bool   // sticks are USB-attached SCSI
}

// MaxMachines is how many boards run at once: this is the number of cores of a
// small CI machine.
const MaxMachines = 2

var slots = make(chan struct{}, MaxMachines)

// running resumes the settled board with the agent idle on it. Each test runs
// beside another one.
func running(t *testing.T) *rig {
	t.Helper()
	p := everything(t)
	return newRig(t, p, func(change func(*Board)) (*Board, error) { return Resume(p.fw, p.running, change) })
}

// cold boots a factory-new board with those sticks in; change may edit it
// before.
func cold(t *testing.T, change func(*Board), sticks ...*Stick) *rig {
	t.Helper()
	p := everything(t)
	return newRig(t, p, func(log func(*Board)) (*Board, error) {
		return Boot(p.fw, p.card, func(b *Board) {
			log(b)
			if change != nil {
				change(b)
			}
		}, sticks...)
	})
}

func newRig(t *testing.T, p parts, start func(func(*Board)) (*Board, error)) *rig {
	t.Helper()
	slots <- struct{}{}
	began := time.Now()
	b, err := start(func(b *Board) { b.Log = t.Logf })
	if err != nil {
		<-slots
		t.Fatal(err)
	}
	r := &rig{Board: b, parts: p, t: t, began: began, signer: p.fw.PKI.Vendor}
	t.Cleanup(func() {
		if t.Failed() {
			r.tell()
		}
		b.Log = func(string, ...any) {} // the test's log is closed by now
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("%.1f s on the board", time.Since(began).Seconds())
		<-slots
	})
	return r
}

// parallel lets the test run beside others; first in every test.
func parallel(t *testing.T) {
	need.Board(t)
	t.Parallel()
}

// tell writes what is known about a board whose test failed.
func (r *rig) tell() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r.t.Logf("LED: %s", tail(r.LED.String(), 600))
	if data, err := r.Read(ctx, "/run/usbagent/status.json"); err == nil {
		r.t.Logf("status.json: %s", data)
	}
	kept := filepath.Join(r.cache.root, "failed-"+strings.ReplaceAll(r.t.Name(), "/", "-")+".console")
	os.WriteFile(kept, []byte(r.Console(0)), 0o644)
	r.t.Logf("console, all of it in %s: %s", kept, tail(r.Console(0), 6000))
}

// sh runs a shell line in the board and returns what it printed; it has to
// succeed.
func (r *rig) sh(line string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	status, out, err := r.Run(ctx, "sh", "-c", line)
	if err != nil || status != 0 {
		r.t.Fatalf("%s: status %d, %v: %s", line, status, err, out)
	}
	return strings.TrimSpace(out)
}

// mounts counts the sticks' mounts: a script that runs has its verified bytes
// mounted over its name as well, which does not count.
func (r *rig) mounts() int {
	n := 0
	for line := range strings.Lines(r.file("/proc/self/mountinfo")) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], "/media/") && !strings.HasSuffix(f[4], "/autorun.sh") {
			n++
		}
	}
	return n
}

// file reads a file of the board; "" where there is none.
func (r *rig) file(path string) string {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	data, _ := r.Read(ctx, path)
	return string(data)
}

// put writes a small file into the board.
func (r *rig) put(path, text string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := r.Write(ctx, path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// plug puts a stick in and returns the instant.
func (r *rig) plug(s *Stick) time.Time {
	r.t.Helper()
	at, err := r.Plug(s)
	if err != nil {
		r.t.Fatal(err)
	}
	return at
}

// pull takes it out and waits until LED, mounts and directories are as if it
// had never been in.
func (r *rig) pull(s *Stick) {
	r.t.Helper()
	if err := r.Pull(s); err != nil {
		r.t.Fatal(err)
	}
	r.clean()
}

// stick makes a stick's image in the board's directory.
func (r *rig) stick(layout string, p ...Part) *Stick {
	r.t.Helper()
	r.sticks++
	path := filepath.Join(r.dir, fmt.Sprintf("stick%d.img", r.sticks))
	if err := WriteStick(path, layout, p...); err != nil {
		r.t.Fatal(err)
	}
	s := NewStick(path)
	s.UAS = r.uas
	return s
}

// plain is a stick with one partition of that type.
func (r *rig) plain(fsType, label string, files ...File) *Stick {
	r.t.Helper()
	return r.stick("mbr", Part{FileSystem: FileSystem{Type: fsType, Label: label, Files: files}})
}

// signed is a file with its signature.
func signed(t *testing.T, s Signer, name string, content []byte) []File {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Sign(path); err != nil {
		t.Fatal(err)
	}
	p7s, err := os.ReadFile(path + ".p7s")
	if err != nil {
		t.Fatal(err)
	}
	return []File{{Name: name, Data: content}, {Name: name + ".p7s", Data: p7s}}
}

// script is a signed autorun.sh.
func script(t *testing.T, s Signer, text string) []File {
	t.Helper()
	return signed(t, s, "autorun.sh", []byte("#!/bin/sh\n"+text+"\n"))
}

// rotation is the customer's keyring signed by the vendor.
func rotation(t *testing.T, p parts) []File {
	t.Helper()
	return signed(t, p.fw.PKI.Vendor, "fwupdate-keyring.pem", []byte(customerCA(t, p)))
}

// customerCA is the keyring that rotation installs.
func customerCA(t *testing.T, p parts) string {
	t.Helper()
	data, err := os.ReadFile(p.fw.PKI.CustomerCA)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// bundle is an image file for a stick; bundles are cached.
func (p parts) bundle(t *testing.T, name string, b Bundle) File {
	t.Helper()
	if b.Image == "" {
		b.Image = p.slot
	}
	kind := fmt.Sprintf("bundle-%s-%s-%s", strings.TrimSuffix(name, ".image"), b.Format, b.Version)
	inputs := []string{b.Image, b.Signer.Cert, b.Compatible, p.slot, "1"}
	dir, err := p.cache.Layer(kind, inputs, func(dir string) error { return b.Write(filepath.Join(dir, "image")) })
	if err != nil {
		t.Fatal(err)
	}
	return File{Name: name, Path: filepath.Join(dir, "image")}
}

// booted waits until the board has started n times and finished the last boot,
// and returns the slot it runs from.
func (r *rig) booted(n int) string {
	r.t.Helper()
	r.await(fmt.Sprintf("start %d of the board", n), reboot, func() bool { return len(r.Starts()) >= n })
	r.since = r.ConsoleSize()
	ctx, cancel := context.WithTimeout(context.Background(), reboot)
	defer cancel()
	if err := r.AwaitBoot(ctx); err != nil {
		r.t.Fatal(err)
	}
	starts := r.Starts()
	return starts[len(starts)-1].Slot
}
