// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"usbagent/agent"
	"usbagent/test/raucbench"
)

// story is the demonstration, chapter by chapter.
type story struct {
	*screen
	dir     string
	program string // the agent

	vendor, customer *raucbench.PKI
	board            *board
	content          string // directory with what the stick holds
	stick, forged    *stick
	system           []byte // the root file system in the image
}

// label of both sticks.
const label = "DEMO"

// autorun is the customer's script; %[1]s is the board's directory.
const autorun = `#!/bin/sh
echo "this is $0 in $(pwd), run by $(id -un)"
mkdir -p "%[1]s/etc/station"
cp station.conf "%[1]s/etc/station/" && echo "station.conf is in place"
echo "started" >> "%[1]s/var/script-starts"
echo "goodbye"
`

func (s *story) owners(context.Context) (err error) {
	s.title("Two owners make themselves a PKI with openssl")
	if s.vendor, err = raucbench.NewPKI(filepath.Join(s.dir, "vendor"), "Vendor"); err != nil {
		return err
	}
	if s.customer, err = raucbench.NewPKI(filepath.Join(s.dir, "customer"), "Customer"); err != nil {
		return err
	}
	s.say("the vendor, who made the board, and the customer, who bought it: each has a CA and somebody who signs")
	return nil
}

func (s *story) factory(ctx context.Context) (err error) {
	s.title("A board as it comes from the factory, in " + filepath.Join(s.dir, "board"))
	if s.board, err = newBoard(s.screen, filepath.Join(s.dir, "board"), s.vendor); err != nil {
		return err
	}
	if err := s.board.powerOn(); err != nil {
		return err
	}
	s.keyring()
	s.say("RAUC, the real service on a bus of its own: booted from slot %s", s.board.rauc.BootSlot)
	s.say("LED:     %s", s.board.light.state())
	s.plugged()
	if err := s.board.startAgent(s.program); err != nil {
		return err
	}
	return s.board.ready(ctx)
}

func (s *story) makeStick(ctx context.Context) (err error) {
	s.title("The customer makes a stick: ext4, labelled " + label)
	s.content = filepath.Join(s.dir, "stick")
	if err := os.MkdirAll(s.content, 0o755); err != nil {
		return err
	}
	ca, err := os.ReadFile(s.customer.Keyring)
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name, who string
		signer    *raucbench.PKI
		content   []byte
	}{
		{"fwupdate-keyring.pem", "the customer's CA, signed by the vendor", s.vendor, ca},
		{"autorun.sh", "a script, signed by the customer", s.customer, fmt.Appendf(nil, autorun, s.board.dir)},
	} {
		path := filepath.Join(s.content, file.name)
		if err := os.WriteFile(path, file.content, 0o644); err != nil {
			return err
		}
		if err := file.signer.Sign(path); err != nil {
			return err
		}
		s.say("%-26s %s", file.name+" + .p7s", file.who)
	}
	if err := os.WriteFile(filepath.Join(s.content, "station.conf"), []byte("name = \"Bay 7\"\n"), 0o644); err != nil {
		return err
	}
	if err := s.makeImage(); err != nil {
		return err
	}
	s.stick, err = format(ctx, filepath.Join(s.board.sticks, "stick.img"), label, s.content)
	return err
}

// makeImage puts a RAUC bundle onto the stick that only the new keyring trusts.
func (s *story) makeImage() error {
	s.system = make([]byte, 24<<20)
	rand.Read(s.system)
	_, err := s.board.rauc.Bundle(raucbench.Bundle{
		Path: filepath.Join(s.content, "firmware-2.0.image"), Version: "2.0", Content: s.system, PKI: s.customer,
	})
	s.say("%-26s %s", "firmware-2.0.image", "a RAUC bundle, signed by the customer")
	return err
}

func (s *story) firstPlug(ctx context.Context) error {
	s.title("The stick is plugged in")
	err := s.during(ctx, func() error {
		if err := s.plug(s.stick); err != nil {
			return err
		}
		select {
		case <-s.board.reboots:
			return nil
		case <-time.After(40 * time.Second):
			return fmt.Errorf("the agent never asked for a reboot; see what it said above")
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil {
		return err
	}
	s.say("")
	s.keyring()
	s.list()
	s.say("script:  was started %d time(s); %s", s.starts(), s.read("etc/station/station.conf"))
	if !bytes.HasPrefix(s.slot("B"), s.system) || s.starts() != 1 {
		return fmt.Errorf("slot B does not hold the new system, or the script was started %d times", s.starts())
	}
	s.say("slot B:  holds the new system, byte for byte; the boot loader will boot %s", s.board.rauc.Primary())
	return nil
}

func (s *story) reboot(ctx context.Context) error {
	s.title("The board reboots with the stick in (the agent ends, RAUC and the agent start anew)")
	s.plugged()
	err := s.during(ctx, func() error {
		s.board.stopAgent()
		slot, err := s.board.rauc.Reboot()
		if err != nil {
			return err
		}
		s.happens("board", "booted from slot %s", slot)
		if err := s.board.startAgent(s.program); err != nil {
			return err
		}
		if err := s.board.ready(ctx); err != nil {
			return err
		}
		if err := s.board.says(ctx, "handled before"); err != nil {
			return err
		}
		s.happens("stick", "pulled")
		if err := s.stick.pull(ctx); err != nil {
			return err
		}
		return s.board.dark(ctx)
	})
	s.say("")
	s.say("LED:     %s", s.board.light.state())
	return err
}

func (s *story) secondPlug(ctx context.Context) error {
	s.title("The same stick a second time: nothing is done twice")
	status, err := s.pass(ctx, s.stick)
	if err != nil {
		return err
	}
	if err := s.board.dark(ctx); err != nil {
		return err
	}
	s.steps(status)
	s.say("script:  was started %d time(s) in all", s.starts())
	s.say("LED:     %s", s.board.light.state())
	if s.starts() != 1 || len(s.board.reboots) > 0 {
		return fmt.Errorf("something was done twice")
	}
	return s.stick.pull(ctx)
}

func (s *story) tampered(ctx context.Context) (err error) {
	s.title("A stick with a tampered script: one line was added after it was signed")
	script := filepath.Join(s.content, "autorun.sh")
	text, err := os.ReadFile(script)
	if err != nil {
		return err
	}
	if err := os.WriteFile(script, append(text, "echo \"and one more thing\"\n"...), 0o644); err != nil {
		return err
	}
	if s.forged, err = format(ctx, filepath.Join(s.board.sticks, "tampered.img"), label, s.content); err != nil {
		return err
	}
	status, err := s.pass(ctx, s.forged)
	if err != nil {
		return err
	}
	s.steps(status)
	flashes := s.board.light.code(ctx)
	s.say("LED:     %d flashes, a pause, and again: the script was refused", flashes)
	s.say("script:  was started %d time(s) in all", s.starts())
	if err := s.forged.pull(ctx); err != nil {
		return err
	}
	err = s.board.dark(ctx)
	s.say("pulled; LED: %s", s.board.light.state())
	if err == nil && (flashes != 4 || s.starts() != 1) {
		err = fmt.Errorf("the tampered script was not refused as it should be")
	}
	return err
}

// pass plugs a stick in and waits until the agent is done with it.
func (s *story) pass(ctx context.Context, x *stick) (status agent.StickStatus, err error) {
	err = s.during(ctx, func() error {
		if err := s.plug(x); err != nil {
			return err
		}
		status, err = s.board.finished(ctx, x)
		return err
	})
	return status, err
}

func (s *story) plug(x *stick) error {
	s.plugged()
	s.happens("stick", "plugged in")
	err := x.plug()
	return err
}

// during shows each change of the LED and each new keyring while do works.
func (s *story) during(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.board.light.watch(ctx, func(state string) { s.happens("LED", "%s", state) })
	}()
	err := do()
	cancel()
	<-done
	return err
}

// steps shows what the agent says it did.
func (s *story) steps(status agent.StickStatus) {
	s.say("")
	for _, step := range status.Steps {
		s.say("%-8s %-8s %-22s %s", step.Step, step.Result, step.File, step.Reason)
	}
}

func (s *story) keyring() {
	s.say("keyring: %s is %s", keyringFile, describeKeyring(s.board.path(keyringFile)))
}

func (s *story) list() {
	s.say("list:    %s: %s", listFile, s.read(listFile))
}

// read returns a file of the board in one line.
func (s *story) read(file string) string {
	text, err := os.ReadFile(s.board.path(file))
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// starts counts how often the script was started.
func (s *story) starts() int {
	text, _ := os.ReadFile(s.board.path("var/script-starts"))
	return bytes.Count(text, []byte("\n"))
}

func (s *story) slot(name string) []byte {
	content, _ := os.ReadFile(s.board.rauc.SlotPath(name))
	return content
}

// cleanUp undoes what is outside the directory. It may be called twice.
func (s *story) cleanUp() {
	if s.board == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s.board.stopAgent()
	unmountBelow(s.board.path("media"))
	for _, x := range []*stick{s.stick, s.forged} {
		if x == nil {
			continue
		}
		if err := x.pull(ctx); err != nil {
			s.say("%v", err)
		}
	}
	s.board.powerOff()
	sweep(ctx, s.dir) // losetup itself may have been interrupted
}
