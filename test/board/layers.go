// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Agent is what gets installed on the board: the product.
type Agent struct {
	// Binary is the ARMv7 executable, Unit the systemd unit, Config the
	// configuration file, "" for none: the defaults.
	Binary, Unit, Config string
	id                   string
}

// Where the agent lies on a board.
const (
	binaryPath = "/usr/bin/usbagent"
	unitPath   = "/usr/lib/systemd/system/usbagent.service"
	configPath = "/etc/usbagent/config.toml"
	wantsPath  = "/etc/systemd/system/multi-user.target.wants/usbagent.service"
)

// BuildAgent compiles the agent for arch ("arm", "amd64") from this source
// tree and takes its unit from deploy/.
func BuildAgent(c *Cache, arch string) (*Agent, error) {
	top, err := SourceRoot()
	if err != nil {
		return nil, err
	}
	fresh := filepath.Join(c.root, fmt.Sprintf("usbagent-%s.%d", arch, os.Getpid()))
	defer os.Remove(fresh)
	if err := goBuild(fresh, arch, "usbagent/cmd/usbagent"); err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(fresh)
	if err != nil {
		return nil, err
	}
	unit, err := os.ReadFile(filepath.Join(top, "deploy", "usbagent.service"))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append(binary, unit...))
	dir, err := c.Layer("agent-"+arch, []string{hex.EncodeToString(sum[:])}, func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "usbagent"), binary, 0o755),
			os.WriteFile(filepath.Join(dir, "usbagent.service"), unit, 0o644))
	})
	return &Agent{Binary: filepath.Join(dir, "usbagent"), Unit: filepath.Join(dir, "usbagent.service"), id: dir}, err
}

// SettledAfter is the guest's uptime at which snapshots are taken: what is
// plugged after a resume shall be a plug, not something found at boot (SPEC 2:
// 120 s).
const SettledAfter = 122 * time.Second

// BootTimeout bounds a boot on a loaded machine; an idle one takes 40 s.
const BootTimeout = 8 * time.Minute

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

// SlotImage is the file system of a slot with the agent in it: what a card is
// flashed with and what goes into a bundle. It is cached.
func SlotImage(c *Cache, fw *Firmware, a *Agent) (string, error) {
	dir, err := c.Layer("slot", []string{fw.id, a.id, "1"}, func(dir string) error {
		path := filepath.Join(dir, "slot.ext4")
		if err := copySparse(path, fw.Slot); err != nil {
			return err
		}
		image := Image{path}
		return errors.Join(
			image.Write(upper(binaryPath), a.Binary, 0o100755),
			image.Write(upper(unitPath), a.Unit, 0o100644),
			image.Link(wantsPath, unitPath),
		)
	})
	return filepath.Join(dir, "slot.ext4"), err
}

// upper is where a slot keeps its own file of /usr.
func upper(path string) string { return "/.usr/upper" + strings.TrimPrefix(path, "/usr") }

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
	dir, err := c.Layer("running", []string{booted.Dir, slot, "1"}, func(dir string) error {
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

// install brings the agent onto a running board by a stick of its own.
func (b *Board) install(a *Agent) error {
	ctx, cancel := context.WithTimeout(context.Background(), BootTimeout)
	defer cancel()
	path := filepath.Join(b.dir, "agent.img")
	files := []File{{Name: "usbagent", Path: a.Binary}, {Name: "usbagent.service", Path: a.Unit}}
	if err := WriteStick(path, "disk", Part{FileSystem: FileSystem{Type: "ext2", Files: files}}); err != nil {
		return err
	}
	stick := NewStick(path)
	if _, err := b.Plug(stick); err != nil {
		return err
	}
	script := `set -e
i=0; while [ ! -b /dev/sda ]; do i=$((i+1)); [ $i -lt 300 ]; sleep 0.1; done
mkdir -p /run/install; mount -o ro /dev/sda /run/install
install -m 0755 /run/install/usbagent ` + binaryPath + `
install -m 0644 /run/install/usbagent.service ` + unitPath + `
umount /run/install; rmdir /run/install; sync`
	if status, out, err := b.Run(ctx, "sh", "-c", script); err != nil || status != 0 {
		return fmt.Errorf("install the agent: status %d: %s: %w", status, out, err)
	}
	if err := b.Pull(stick); err != nil {
		return err
	}
	start := `set -e
i=0; while [ -b /dev/sda ]; do i=$((i+1)); [ $i -lt 300 ]; sleep 0.1; done
systemctl daemon-reload; systemctl enable usbagent.service; systemctl start usbagent.service; sync`
	if status, out, err := b.Run(ctx, "sh", "-c", start); err != nil || status != 0 {
		return fmt.Errorf("start the agent: status %d: %s: %w", status, out, err)
	}
	time.Sleep(2 * time.Second) // systemd and the journal finish what they were at
	_, _, err := b.Run(ctx, "sync")
	return err
}
