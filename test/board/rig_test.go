// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"encoding/json"
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
	r := &rig{Board: b, parts: p, t: t, began: began}
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
	r.t.Logf("LED: %s", r.LED)
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
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	data, _ := r.Read(ctx, path)
	return string(data)
}

// put writes a small file into the board.
func (r *rig) put(path, text string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Write(ctx, path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// Bounds for waiting; a loaded machine needs a fraction of them.
const (
	soon   = 90 * time.Second
	later  = 2 * time.Minute
	reboot = BootTimeout
)

// await waits until ok says so.
func (r *rig) await(what string, bound time.Duration, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(bound)
	for !ok() {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %s: %s", bound, what)
		}
		time.Sleep(50 * time.Millisecond)
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

// clean waits until nothing of any stick is left: no LED, mount or directory.
func (r *rig) clean() {
	r.t.Helper()
	r.await("LED off after the pull", soon, func() bool {
		return r.fw.ledRegister == 0 || !r.LED.On() && r.LED.Steady() > 2*time.Second
	})
	r.await("no mount left", soon, func() bool { return !strings.Contains(r.file("/proc/self/mountinfo"), " /media/") })
	r.await("no directory left in /media", soon, func() bool {
		names, err := r.List(context.Background(), "/media")
		return err == nil && names == "[]"
	})
}

// Status is the part of status.json that tests look at.
type Status struct {
	State  string        `json:"state"`
	Busy   string        `json:"busy"`
	Sticks []StickResult `json:"sticks"`
}

// StickResult is one stick in it.
type StickResult struct {
	Device, Label, Filesystem, Mountpoint string
	Started, Finished                     time.Time
	DiskSeq                               uint64 `json:"diskseq"`
	Result                                string
	Code                                  int
	Waiting                               string
	Present                               bool
	Steps                                 []Step
}

// Step is one of its steps.
type Step struct{ Step, Device, File, Result, Reason string }

func (s StickResult) String() string {
	text, _ := json.Marshal(s)
	return string(text)
}

// status reads status.json; the zero value where there is none.
func (r *rig) status() Status {
	var s Status
	json.Unmarshal([]byte(r.file("/run/usbagent/status.json")), &s)
	return s
}

// finished waits until every stick that is in is done with, and returns the
// newest.
func (r *rig) finished(bound time.Duration) StickResult {
	r.t.Helper()
	var last StickResult
	r.await("every stick finished", bound, func() bool {
		in := 0
		for _, s := range r.status().Sticks {
			if !s.Present {
				continue
			}
			if s.Finished.IsZero() {
				return false
			}
			in, last = in+1, s
		}
		return in > 0
	})
	return last
}

// expect checks the results of a stick's steps: "keyring done", "image
// refused", in order.
func (r *rig) expect(s StickResult, want ...string) {
	r.t.Helper()
	var got []string
	for _, step := range s.Steps {
		got = append(got, step.Step+" "+step.Result)
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		r.t.Errorf("steps %q, want %q: %s", got, want, s)
	}
}

// journal waits for a line on the console, where all of the journal goes.
func (r *rig) journal(since int64, line string, bound time.Duration) {
	r.t.Helper()
	r.await("journal line "+line, bound, func() bool { return strings.Contains(r.Console(since), line) })
}

// lit checks that the LED went on within a time after the plug that a
// technician sees as at once; the kernel needs 1.2 s of it, the machine is
// slow and shared.
func (r *rig) lit(plugged time.Time) {
	r.t.Helper()
	var at time.Time
	r.await("LED on", soon, func() (ok bool) { at, ok = r.LED.FirstOn(plugged); return ok })
	r.t.Logf("LED on %.2f s after the plug", at.Sub(plugged).Seconds())
}

// code waits until the LED flashes n times, twice over.
func (r *rig) code(n int) {
	r.t.Helper()
	since := time.Now()
	r.await(fmt.Sprintf("LED code %d", n), soon, func() bool { return r.LED.Code(since) == n })
}

// image makes a stick's image in the board's directory.
func (r *rig) stick(layout string, p ...Part) *Stick {
	r.t.Helper()
	r.sticks++
	path := filepath.Join(r.dir, fmt.Sprintf("stick%d.img", r.sticks))
	if err := WriteStick(path, layout, p...); err != nil {
		r.t.Fatal(err)
	}
	return NewStick(path)
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
	data, err := os.ReadFile(p.fw.PKI.CustomerCA)
	if err != nil {
		t.Fatal(err)
	}
	return signed(t, p.fw.PKI.Vendor, "fwupdate-keyring.pem", data)
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
	ctx, cancel := context.WithTimeout(context.Background(), reboot)
	defer cancel()
	if err := r.AwaitBoot(ctx); err != nil {
		r.t.Fatal(err)
	}
	starts := r.Starts()
	return starts[len(starts)-1].Slot
}
