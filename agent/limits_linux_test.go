// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/autorun"
	"usbagent/config"
	"usbagent/executedlist"
	"usbagent/installer"
	"usbagent/internal/logs"
	"usbagent/led"
	"usbagent/ledger"
	"usbagent/mount"
	"usbagent/netlink"
	"usbagent/signature"
	"usbagent/test/need"
	"usbagent/test/pki"
)

// dark is a LED that nobody sees.
type dark struct{}

func (dark) Show(led.Pattern) {}

// stuck is a machine whose boot never finishes, and a runner that starts nothing.
type stuck struct{}

func (stuck) BootFinished(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
func (stuck) Greet(context.Context)                  {}
func (stuck) ShuttingDown(context.Context) bool      { return false }
func (stuck) Reboot(context.Context) error           { return nil }

func (stuck) Start(ctx context.Context, _ autorun.Request) (*autorun.Run, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}
func (stuck) Prepare(context.Context) error               { return nil }
func (stuck) Close()                                      {}
func (stuck) Adopt(context.Context) (*autorun.Run, error) { return nil, nil }

// idle is an agent that has touched nothing, and a stick.
func idle(t *testing.T) (*Agent, *stick) {
	t.Helper()
	a := New(Options{Config: config.Default(), Log: logs.NewNop(), Light: dark{}, Machine: stuck{}, Scripts: stuck{}})
	ctx, cancel := context.WithCancelCause(t.Context())
	return a, &stick{disk: netlink.Disk{Name: "sdx"}, ctx: ctx, cancel: cancel, log: logs.NewNop()}
}

// TestStorageOnly: a device that is storage and a keyboard at once is refused
// by default; where the kernel shows no interfaces, none can be.
func TestStorageOnly(t *testing.T) {
	for _, c := range []struct {
		interfaces []string
		refused    string
	}{
		{nil, ""}, {[]string{"08"}, ""}, {[]string{"08", "08"}, ""}, {[]string{"08", "ff"}, ""}, {[]string{"FF", "08"}, ""},
		{[]string{"03", "08"}, "class 03"}, {[]string{"02", "08", "0a"}, "class 02"}, {[]string{"08", "0e"}, "class 0e"},
		{[]string{"08", "\x1b[2j"}, `class \x1b[2j`},
	} {
		a, s := idle(t)
		if !a.Config.Devices.StorageOnly {
			t.Fatal("devices.storage_only is not the default")
		}
		s.disk.Interfaces = c.interfaces
		err := a.admit(s)
		if (err != nil) != (c.refused != "") || err != nil && (!strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "devices.storage_only")) {
			t.Errorf("%q: %v", c.interfaces, err)
		}
		a.Config.Devices.StorageOnly = false
		if err := a.admit(s); err != nil {
			t.Errorf("%q, switched off: %v", c.interfaces, err)
		}
	}
}

// TestStorageOnlyByWhatIsDeclared: the kernel has not come to the keyboard yet,
// but the device has declared it.
func TestStorageOnlyByWhatIsDeclared(t *testing.T) {
	a, s := idle(t)
	a.Root = t.TempDir()
	s.disk.Bus, s.disk.DevPath, s.disk.Interfaces = netlink.BusUSB, "/devices/usb1/1-1/1-1:1.0/host0/block/sdx", []string{"08"}
	device := filepath.Join(a.Root, "sys/devices/usb1/1-1")
	storage, keyboard := "\x09\x04\x00\x00\x02\x08\x06\x50\x00", "\x09\x04\x01\x00\x01\x03\x01\x01\x00"
	err := errors.Join(os.MkdirAll(device, 0o755), os.Symlink("../../../bus/usb", filepath.Join(device, "subsystem")),
		os.WriteFile(filepath.Join(device, "idVendor"), []byte("1d6b\n"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	for declared, refused := range map[string]bool{storage: false, storage + keyboard: true} {
		if err := os.WriteFile(filepath.Join(device, "descriptors"), []byte(strings.Repeat("\x00", 18)+declared), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := a.admit(s); (err != nil) != refused || refused && !strings.Contains(err.Error(), "class 03") {
			t.Errorf("refused %v: %v", refused, err)
		}
	}
}

func TestMaxAbandoned(t *testing.T) {
	a, s := idle(t)
	a.hung = MaxAbandoned - 1
	if err := a.admit(s); err != nil {
		t.Errorf("with one left: %v", err)
	}
	a.hung++
	if err := a.admit(s); err == nil || !strings.Contains(err.Error(), "64 devices do not answer") {
		t.Errorf("with MaxAbandoned: %v", err)
	}
}

// took runs work in a bubble where time passes as soon as everything waits,
// and fails the test unless it took that long.
func took(t *testing.T, want time.Duration, work func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		work(t)
		if took := time.Since(begun); took != want {
			t.Errorf("took %v, want %v", took, want)
		}
	})
}

func TestBootWait(t *testing.T) {
	took(t, BootWait, func(t *testing.T) {
		a, s := idle(t)
		if !a.bootFinished(t.Context(), s, "the script starts") {
			t.Error("a boot that never finishes keeps the script for ever")
		}
	})
}

// TestPullNotice: what a device answers while it is pulled waits for the pull;
// any other failure is told at once.
func TestPullNotice(t *testing.T) {
	for _, err := range []error{errPulled, unix.ENXIO, unix.ENODEV, fmt.Errorf("probe: %w", unix.EIO)} {
		took(t, PullNotice, func(t *testing.T) { awaitPull(t.Context(), err) })
		took(t, time.Second, func(t *testing.T) {
			ctx, pull := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { pull(errPulled) })
			awaitPull(ctx, err)
		})
	}
	for _, err := range []error{nil, mount.ErrNone, mount.ErrMounted, unix.ENOMEDIUM} {
		took(t, 0, func(t *testing.T) { awaitPull(t.Context(), err) })
	}
}

// unconfirmed is an installer on a board that is never confirmed good.
type unconfirmed struct{ installer.None }

func (unconfirmed) WaitReady(ctx context.Context, _ *installer.System) (installer.System, error) {
	<-ctx.Done()
	return installer.System{}, context.Cause(ctx)
}

// TestPulledWhileWaiting: a pull ends what a stick waits for.
func TestPulledWhileWaiting(t *testing.T) {
	for what, waits := range map[string]func(*testing.T, *Agent, *stick){
		"boot": func(t *testing.T, a *Agent, s *stick) {
			if !a.bootFinished(t.Context(), s, "the script starts") {
				t.Error("a pull ended the agent")
			}
		},
		"confirmation": func(t *testing.T, a *Agent, s *stick) {
			if err := a.ready(t.Context(), s, &image{}); !errors.Is(err, errPulled) {
				t.Error(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			took(t, time.Second, func(t *testing.T) {
				a, s := idle(t)
				a.Images = unconfirmed{}
				time.AfterFunc(time.Second, func() { s.cancel(errPulled) })
				waits(t, a, s)
				if s.entry.Waiting != "" {
					t.Errorf("it still %s", s.entry.Waiting)
				}
			})
		})
	}
}

func TestDetachWait(t *testing.T) {
	took(t, DetachWait, func(t *testing.T) {
		a, _ := idle(t)
		a.detaching.Add(1)
		a.awaitDetached()
		a.detaching.Done()
	})
}

func TestStopTimeout(t *testing.T) {
	took(t, StopTimeout+StopTimeout/2, func(t *testing.T) {
		a, _ := idle(t)
		var hung sync.WaitGroup
		hung.Add(1)
		a.detaching.Add(1)
		a.stop(&hung)
		hung.Done()
		a.detaching.Done()
	})
}

// TestStartTimeout: a script whose runner does not answer is in the list, and
// the agent goes on.
func TestStartTimeout(t *testing.T) {
	need.Tool(t, "openssl")
	dir := t.TempDir()
	p, err := pki.New(dir, "Start")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ScriptName)
	err = errors.Join(os.WriteFile(path, []byte("#!/bin/sh\n"), 0o644), p.Sign(path))
	ca, err1 := os.ReadFile(p.Keyring)
	p7s, err2 := os.ReadFile(path + SignatureSuffix)
	k, err3 := signature.ParseKeyring(ca)
	if err := errors.Join(err, err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	verified, err := signature.Verify(k, signature.NewContent(ScriptName, []byte("#!/bin/sh\n")), p7s, signature.Options{})
	if err != nil {
		t.Fatal(err)
	}
	history, err := ledger.Open(filepath.Join(dir, "state"), "boot")
	if err != nil {
		t.Fatal(err)
	}
	took(t, StartTimeout, func(t *testing.T) {
		a, s := idle(t)
		a.Ledger = history
		a.list = executedlist.Open(filepath.Join(dir, "list", "executed.list"), true)
		o := &offer{volume: &volume{directory: handle{}}, step: StepAutorun, name: ScriptName, stored: ScriptName}
		step, code := a.execute(t.Context(), s, o, &approved{Verified: verified}, false, nil)
		if step.Result != Failed || code != CodeScript || !strings.Contains(step.Reason, "not started") {
			t.Errorf("%+v, code %d", step, code)
		}
		if done, err := a.list.Contains(verified.MD5()); err != nil || !done {
			t.Errorf("it is not in the list: %v, %v", done, err)
		}
	})
}

// TestMaxSteps: steps beyond are not kept, but their failure code is.
func TestMaxSteps(t *testing.T) {
	a, s := idle(t)
	for range MaxSteps {
		a.report(s, ledger.Step{Step: StepImage, Result: Done}, 0)
	}
	if n := len(s.entry.Steps); n != MaxSteps {
		t.Errorf("%d steps of %d", n, MaxSteps)
	}
	a.report(s, ledger.Step{Step: StepImage, Result: Failed}, CodeImage)
	if n := len(s.entry.Steps); n != MaxSteps || s.entry.Code != CodeImage {
		t.Errorf("one more: %d steps, code %d", n, s.entry.Code)
	}
}

func TestMaxMessage(t *testing.T) {
	if got := ShowMessage(strings.Repeat("\x1b", MaxMessage)); len(got) > MaxMessage || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes", len(got))
	}
	if whole := strings.Repeat("x", MaxMessage); ShowMessage(whole) != whole {
		t.Error("a message of exactly MaxMessage is cut")
	}
}

func TestMaxStatusSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	os.WriteFile(path, append(bytes.Repeat([]byte(" "), MaxStatusSize-2), "{}"...), 0o644)
	if _, err := ReadStatus(path); err != nil {
		t.Errorf("exactly the limit: %v", err)
	}
	os.WriteFile(path, append(bytes.Repeat([]byte(" "), MaxStatusSize), "{}"...), 0o644)
	if _, err := ReadStatus(path); err == nil {
		t.Error("more than the limit was read")
	}
}

// TestSerialTimeout: neither a command that does not end nor a child that it
// leaves behind, which holds its output, keeps the agent for longer.
func TestSerialTimeout(t *testing.T) {
	for name, argv := range map[string][]string{
		"endless": {"sleep", "60"}, "endless child": {"sh", "-c", "sleep 60; echo CB1"}, "leaves a child": {"sh", "-c", "sleep 60 & echo CB1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits
			begun := time.Now()
			got := printed(argv)
			if took := time.Since(begun); got != "" || took > SerialTimeout+20*time.Second || name != "leaves a child" && took < SerialTimeout {
				t.Errorf("%q after %v, want nothing after %v", got, took, SerialTimeout)
			}
		})
	}
}

func TestMaxSerial(t *testing.T) {
	longest := strings.Repeat("x", MaxSerial)
	for _, c := range []struct{ printed, want string }{
		{longest, longest}, {longest + "\r\n", longest}, {" CB1 \n", "CB1"}, // the end of the line is no part of it
		{longest + "x", ""}, {longest + "x\n", ""}, {longest + strings.Repeat("x", 1<<20), ""}, {longest + "\n\n\n", ""}, {"CB1\nCB2\n", ""},
	} {
		path := filepath.Join(t.TempDir(), "serial")
		if err := os.WriteFile(path, []byte(c.printed), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := printed([]string{"cat", path}); got != c.want {
			t.Errorf("%d bytes printed: %q, want %q", len(c.printed), got, c.want)
		}
	}
}

func TestMaxReceiptReason(t *testing.T) {
	whole := strings.Repeat("x", MaxReceiptReason)
	list := boundSteps([]ledger.Step{{Reason: whole}, {Reason: whole + "x"}, {Reason: strings.Repeat("\x1b", MaxReceiptReason)}})
	if list[0].Reason != whole {
		t.Error("a reason of exactly MaxReceiptReason is cut")
	}
	for _, s := range list[1:] {
		if len(s.Reason) > MaxReceiptReason || !strings.HasSuffix(s.Reason, "…") {
			t.Errorf("%d bytes: …%s", len(s.Reason), s.Reason[len(s.Reason)-8:])
		}
	}
}
