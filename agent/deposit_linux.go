// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ReportDir is the directory in a stick's root that receipts lie in.
const ReportDir = "usbagent-report"

// deposit writes files, name and content, into ReportDir below root, the root
// of a stick that is writable for the moment, and makes them durable.
//
// The stick's maker may have put anything there. So each name is one
// component, opened beneath its directory with no link of any kind followed; a
// file is made new under a name of its own and renamed, which replaces a link
// or a FIFO that lies in the way and never goes through it. What is a
// directory where a file has to be, or no directory where one has to be, is an
// error that leaves it alone.
func deposit(root *os.File, files []named) error {
	dir, err := reportDir(handle{root})
	if err != nil {
		return fmt.Errorf("%s: %w", ReportDir, err)
	}
	defer dir.dir.Close()
	for _, f := range files {
		if err := dir.replace(f); err != nil {
			return fmt.Errorf("%s/%s: %w", ReportDir, f.name, plain(err))
		}
	}
	return plain(errors.Join(dir.dir.Sync(), syncDir(handle{root})))
}

// reportDir opens the directory, and makes it where there is none.
func reportDir(root handle) (handle, error) {
	_, err := root.with(func(dir int) (int, error) { return 0, unix.Mkdirat(dir, ReportDir, 0o755) })
	made := err == nil
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return handle{}, err
	}
	f, err := root.beneath(ReportDir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOTDIR) {
		err = errors.New("a link or a file has this name: remove it from the stick")
	}
	if err != nil {
		return handle{}, err
	}
	if made { // whoever gets the stick back may clear it up; FAT has no modes
		_ = f.Chmod(0o777)
	}
	return handle{f}, nil
}

// replace makes or replaces one file.
func (h handle) replace(f named) error {
	dir, tmp := int(h.dir.Fd()), f.name+".new"
	if err := unix.Unlinkat(dir, tmp, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err // of a run that was cut off; unlink(2) follows no link
	}
	err := h.writeNew(tmp, f.content)
	if err == nil {
		err = unix.Renameat(dir, tmp, dir, f.name)
	}
	if err != nil {
		_ = unix.Unlinkat(dir, tmp, 0)
	}
	return err
}

// writeNew makes a file that was not there, whole and durable.
func (h handle) writeNew(name string, content []byte) error {
	f, err := h.create(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		_ = f.Chmod(0o644) // whatever the umask
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir syncs a directory by its handle, which cannot be synced itself.
func syncDir(h handle) error {
	f, err := h.beneath(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// hasReceipt reports whether the root directory has this file in ReportDir.
func hasReceipt(root handle, name string) bool {
	dir, err := root.beneath(ReportDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return false
	}
	defer dir.Close()
	f, err := handle{dir}.beneath(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = regular(f)
	return err == nil
}
