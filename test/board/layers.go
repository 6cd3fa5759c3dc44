// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// SettledAfter is the guest's uptime at which snapshots are taken: what is
// plugged after a resume shall be a plug, not something found at boot
// (agent.BootWindow, 120 s).
const SettledAfter = 122 * time.Second

// BootTimeout bounds a boot on a loaded machine; an idle one takes 40 s.
const BootTimeout = 15 * time.Minute

// Booted is a board without the agent, booted and settled.
func Booted(c *Cache, fw *Firmware) (Snapshot, error) {
	dir, err := c.Layer("booted", []string{fw.id, "2"}, func(dir string) error {
		card := filepath.Join(dir, "new.img")
		defer os.Remove(card)
		if err := writeCard(card, fw.Slot, ""); err != nil {
			return err
		}
		b, err := Boot(fw, card, nil)
		if err != nil {
			return err
		}
		defer b.Close()
		ctx, cancel := context.WithTimeout(context.Background(), BootTimeout)
		defer cancel()
		began := time.Now()
		if err := b.AwaitBoot(ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, tail(b.Console(0), 4000))
		}
		c.Say("the board booted in %.0f s, letting it settle", time.Since(began).Seconds())
		if err := b.awaitUptime(ctx, SettledAfter); err != nil {
			return err
		}
		if _, _, err := b.Run(ctx, "sync"); err != nil {
			return err
		}
		_, err = b.Save(dir)
		return err
	})
	return Snapshot{dir}, err
}

// AwaitBoot waits until systemd says that the boot has finished.
func (b *Board) AwaitBoot(ctx context.Context) error {
	for {
		ask, cancel := context.WithTimeout(ctx, 20*time.Second)
		_, state, err := b.Run(ask, "systemctl", "is-system-running")
		cancel()
		switch strings.TrimSpace(state) {
		case "running":
			return nil
		case "degraded":
			_, units, _ := b.Run(ctx, "systemctl", "--failed", "--no-legend", "--plain")
			return fmt.Errorf("boot: failed units: %s", units)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("boot: %w (last answer %q, %v)", ctx.Err(), state, err)
		case <-b.Off():
			return b.errOff()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// awaitUptime waits until the guest has run that long.
func (b *Board) awaitUptime(ctx context.Context, want time.Duration) error {
	for {
		text, err := b.Read(ctx, "/proc/uptime")
		if err != nil {
			return err
		}
		up, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
		if err != nil || up >= want.Seconds() {
			return err
		}
		time.Sleep(time.Duration((want.Seconds() - up) * float64(time.Second)))
	}
}

// NewCard is a card as a board leaves the factory: the agent in both slots. It
// is cached; Boot copies it.
func NewCard(c *Cache, fw *Firmware, a *Agent) (string, error) {
	slot, err := SlotImage(c, fw, a)
	if err != nil {
		return "", err
	}
	dir, err := c.Layer("card", []string{slot, "1"}, func(dir string) error {
		return writeCard(filepath.Join(dir, "card.img"), slot, slot)
	})
	return filepath.Join(dir, "card.img"), err
}

// Running is a settled board on which the agent was installed and started.
func Running(c *Cache, fw *Firmware, a *Agent) (Snapshot, error) {
	booted, err := Booted(c, fw)
	if err != nil {
		return Snapshot{}, err
	}
	slot, err := SlotImage(c, fw, a)
	if err != nil {
		return Snapshot{}, err
	}
	dir, err := c.Layer("running", []string{booted.Dir, slot, "2"}, func(dir string) error {
		b, err := Resume(fw, booted, nil)
		if err != nil {
			return err
		}
		defer b.Close()
		if err := b.install(a); err != nil {
			return fmt.Errorf("%w\n%s", err, tail(b.Console(0), 4000))
		}
		s, err := b.Save(dir)
		if err != nil {
			return err
		}
		return insert(s.card(), slot, slotStart("B"))
	})
	return Snapshot{dir}, err
}
