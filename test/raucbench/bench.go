// SPDX-License-Identifier: GPL-3.0-or-later

package raucbench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"usbagent/test/need"
)

// Compatible is the bench's compatible unless another is asked for.
const Compatible = "usbagent-bench"

// busName is RAUC's.
const busName = "de.pengutronix.rauc"

// Options says what the bench looks like; every zero value is a good one.
type Options struct {
	Dir        string // where everything lies; it is made, and left when the bench stops
	Compatible string
	Keyring    string // path that RAUC trusts; "" for a copy of the bench's own PKI
	Bootloader string // "custom" (default: a handler script that remembers) or "noop" (no primary slot)
	Formats    string // bundle-formats, such as "-plain"
	BootSlot   string // "A" (default) or "B"
	SlotSize   int64  // bytes, 4 MiB where zero
	Bus        *Bus   // a running bus; nil for one of the bench's own
	System     string // more lines for the [system] group
}

// Bench is a running RAUC service with two slots, rootfs.0 (A) and rootfs.1 (B).
type Bench struct {
	Options
	PKI  *PKI   // signs bundles
	Conf string // RAUC's system.conf
	Log  string // what RAUC writes

	rauc   *process
	ownBus bool
}

// Start makes slots, PKI and configuration in o.Dir, and starts bus and service.
func Start(o Options) (*Bench, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("start RAUC bench: %w", err)
	}
	o.Dir = dir // RAUC does not share our working directory
	b := &Bench{Options: o.withDefaults(), ownBus: o.Bus == nil}
	if err := b.prepare(); err != nil {
		return nil, fmt.Errorf("start RAUC bench: %w", err)
	}
	if b.ownBus {
		bus, err := StartBus("")
		if err != nil {
			return nil, fmt.Errorf("start RAUC bench: %w", err)
		}
		b.Bus = bus
	}
	if err := b.StartService(b.BootSlot); err != nil {
		b.Stop()
		return nil, fmt.Errorf("start RAUC bench: %w", err)
	}
	return b, nil
}

// For starts a bench for one test, or skips the test where that is impossible.
func For(t testing.TB, o Options) *Bench {
	t.Helper()
	need.Root(t)
	need.RAUC(t)
	need.Tool(t, "openssl")
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	b, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Stop()
		if t.Failed() {
			text, _ := os.ReadFile(b.Log)
			t.Logf("RAUC wrote:\n%s", text)
		}
	})
	return b
}

func (o Options) withDefaults() Options {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&o.Compatible, Compatible)
	set(&o.Bootloader, "custom")
	set(&o.BootSlot, "A")
	if o.SlotSize == 0 {
		o.SlotSize = 4 << 20
	}
	return o
}

// SlotPath returns the file that is slot "A" or "B".
func (b *Bench) SlotPath(name string) string {
	return filepath.Join(b.Dir, "slot-"+strings.ToLower(name)+".img")
}

// Holds reports whether the slot begins with content.
func (b *Bench) Holds(slot string, content []byte) bool {
	have, err := os.ReadFile(b.SlotPath(slot))
	return err == nil && len(have) >= len(content) && string(have[:len(content)]) == string(content)
}

// Env is what the agent needs in its environment to find the bench.
func (b *Bench) Env() []string { return b.Bus.Env() }

// StartService starts RAUC as if the board had booted from the slot "A" or "B".
func (b *Bench) StartService(slot string) error {
	b.BootSlot = slot
	p, err := start(b.Log, b.Bus.Env(), "rauc", "--conf="+b.Conf, "--mount="+filepath.Join(b.Dir, "mount"),
		"service", "--override-boot-slot="+slot)
	if err != nil {
		return err
	}
	b.rauc = p
	return p.until(func() bool { return b.Bus.hasOwner(busName) }, "D-Bus name")
}

// StopService ends RAUC; Kill ends it without a chance to clean up.
func (b *Bench) StopService() { b.rauc.stop() }
func (b *Bench) Kill()        { b.rauc.kill() }

// Freeze stops the service where it is, until thaw is called.
func (b *Bench) Freeze() (thaw func(), err error) {
	p := b.rauc.cmd.Process
	return func() { p.Signal(syscall.SIGCONT) }, p.Signal(syscall.SIGSTOP)
}

// Reboot restarts RAUC in the slot that the boot loader would boot, and returns it.
func (b *Bench) Reboot() (slot string, err error) {
	b.StopService()
	return b.Primary(), b.StartService(b.Primary())
}

// Stop ends the service, and the bus where it is the bench's own.
func (b *Bench) Stop() {
	if b.rauc != nil {
		b.rauc.stop()
	}
	b.tidy()
	if b.ownBus && b.Bus != nil {
		b.Bus.Stop()
	}
}
