// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The card: slot A, slot B, /srv, the boot loader's environment. Sizes are in
// bytes; the whole is a power of two because QEMU's SD card wants that.
const (
	mib       = 1 << 20
	cardSize  = 512 * mib
	slotAt    = 1 * mib
	slotSize  = 128 * mib
	srvAt     = slotAt + 2*slotSize
	srvSize   = 192 * mib
	envStart  = srvAt + srvSize
	envLength = 1 * mib
	// imageSize is the size of the file system in a slot, and so of what RAUC
	// writes: small, because an emulated USB stick is slow.
	imageSize = 40 * mib
)

// slotStart is where the slot "A" or "B" begins on the card.
func slotStart(slot string) int64 {
	if slot == "B" {
		return slotAt + slotSize
	}
	return slotAt
}

// writeCard makes a new card with the slot images a and b and an empty /srv.
func writeCard(card, a, b string) error {
	if err := makeSparse(card, cardSize); err != nil {
		return err
	}
	table := fmt.Sprintf("label: dos\nlabel-id: 0x75736261\nstart=%d, size=%d, type=83\nstart=%d, size=%d, type=83\nstart=%d, size=%d, type=83\nstart=%d, size=%d, type=da\n",
		slotAt/512, slotSize/512, (slotAt+slotSize)/512, slotSize/512, srvAt/512, srvSize/512, envStart/512, envLength/512)
	if err := partition(card, table); err != nil {
		return err
	}
	srv := card + ".srv"
	defer os.Remove(srv)
	if err := makeSparse(srv, srvSize); err != nil {
		return err
	}
	tree, err := os.MkdirTemp("", "srv")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	if err := os.Mkdir(filepath.Join(tree, "rauc"), 0o755); err != nil {
		return err
	}
	if err := command(nil, "mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=0,root_owner=0:0", "-d", tree, srv); err != nil {
		return err
	}
	for at, image := range map[int64]string{slotStart("A"): a, slotStart("B"): b, srvAt: srv} {
		if image == "" {
			continue
		}
		if err := insert(card, image, at); err != nil {
			return err
		}
	}
	return factoryEnvironment().write(card)
}

// partition runs sfdisk with the script table on the image.
func partition(image, table string) error {
	ctx, cancel := context.WithTimeout(context.Background(), CommandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sfdisk", "-q", "--no-reread", "--no-tell-kernel", image)
	cmd.Stdin = strings.NewReader(table)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sfdisk %s: %w: %s", image, err, out)
	}
	return nil
}

// Card reads the file systems of a card whose QEMU has ended, without
// mounting anything.
type Card struct{ Path string }

// FileSystem copies a slot ("A", "B") or "srv" out of the card and replays its
// journal there, as the next boot would; the card itself stays as it is.
func (c Card) FileSystem(name, to string) (Image, error) {
	at, size := slotStart(name), int64(slotSize)
	if name == "srv" {
		at, size = srvAt, srvSize
	}
	if err := extract(to, c.Path, at, size); err != nil {
		return Image{}, err
	}
	if err := command(nil, "e2fsck", "-E", "journal_only", "-p", to); err != nil {
		return Image{}, err
	}
	return Image{to}, nil
}

// Environment is the boot loader's on that card.
func (c Card) Environment() (Environment, error) { return readEnvironment(c.Path) }

// Image is an ext file system in a file, read and changed with debugfs.
type Image struct{ Path string }

// Read returns a file's content; a symbolic link is not followed.
func (i Image) Read(path string) ([]byte, error) {
	out, err := os.CreateTemp("", "debugfs")
	if err != nil {
		return nil, err
	}
	out.Close()
	defer os.Remove(out.Name())
	if text, err := i.debugfs(fmt.Sprintf("dump %q %s", path, out.Name())); err != nil {
		return nil, fmt.Errorf("read %s from %s: %w: %s", path, i.Path, err, text)
	}
	return os.ReadFile(out.Name())
}

// Stat is what debugfs says about a path; "" where there is none.
func (i Image) Stat(path string) string {
	text, err := i.debugfs(fmt.Sprintf("stat %q", path))
	if err != nil || !strings.Contains(text, "Inode:") {
		return ""
	}
	return text
}

// Write replaces a file in the image with the host's file from; mode is a
// full one such as 0100755. Its directory must exist.
func (i Image) Write(path, from string, mode uint32) error {
	i.debugfs(fmt.Sprintf("rm %q", path)) // there may be none
	if text, err := i.debugfs(fmt.Sprintf("write %s %q", from, path), fmt.Sprintf("sif %q mode 0%o", path, mode),
		fmt.Sprintf("sif %q uid 0", path), fmt.Sprintf("sif %q gid 0", path)); err != nil {
		return fmt.Errorf("write %s to %s: %w: %s", path, i.Path, err, text)
	}
	return nil
}

// Link makes a symbolic link in the image.
func (i Image) Link(path, target string) error {
	i.debugfs(fmt.Sprintf("rm %q", path))
	_, err := i.debugfs(fmt.Sprintf("symlink %q %q", path, target))
	return err
}

// Mkdir makes a directory in the image; one that exists is left alone.
func (i Image) Mkdir(path string) { i.debugfs(fmt.Sprintf("mkdir %q", path)) }

// debugfs runs commands on the image, which it opens for writing.
func (i Image) debugfs(commands ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), CommandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "debugfs", "-w", "-f", "-", i.Path)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err == nil && (strings.Contains(text, "File not found") || strings.Contains(text, "Could not allocate") || strings.Contains(text, "Ext2 file too big")) {
		err = fmt.Errorf("debugfs: %s", tail(text, 500))
	}
	return text, err
}
