// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// stick is a USB stick made of a file: plugged in as a loop device.
type stick struct {
	image    string // the ext4 file system
	device   string // "/dev/loop3" while it is plugged in
	sequence uint64 // the kernel's number for this insertion (DISKSEQ)
}

// format makes an ext4 file system with the label and the content of dir; no
// mount is needed for that.
func format(ctx context.Context, image, label, dir string) (*stick, error) {
	if err := command(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-d", dir, image, "32M"); err != nil {
		return nil, err
	}
	return &stick{image: image}, nil
}

// plug attaches the stick.
func (s *stick) plug() error {
	out, err := exec.Command("losetup", "--find", "--show", s.image).Output()
	if err != nil {
		return fmt.Errorf("losetup %s: %w", s.image, err)
	}
	s.device = strings.TrimSpace(string(out))
	text, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(s.device), "diskseq"))
	if err != nil {
		return err
	}
	s.sequence, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return err
}

// pull detaches the stick under the agent's hands, as a technician does. A
// loop device stays as long as it is mounted and tells nobody; the uevent says
// for it what a USB port says by itself.
func (s *stick) pull(ctx context.Context) error {
	if s.device == "" {
		return nil
	}
	if err := command(ctx, "losetup", "--detach", s.device); err != nil {
		return err
	}
	sys := filepath.Join("/sys/block", filepath.Base(s.device))
	s.device = ""
	if err := os.WriteFile(filepath.Join(sys, "uevent"), []byte("change"), 0o200); err != nil {
		return err
	}
	gone := func() bool { _, err := os.Stat(filepath.Join(sys, "loop/backing_file")); return err != nil }
	return wait(ctx, 10*time.Second, "the agent to let go of the pulled stick", gone)
}

// wait looks every few milliseconds whether done, and gives up after limit.
func wait(ctx context.Context, limit time.Duration, what string, done func() bool) error {
	deadline := time.Now().Add(limit)
	for !done() {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v in vain for %s", limit, what)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}
