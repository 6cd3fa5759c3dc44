// SPDX-License-Identifier: GPL-3.0-or-later

// Package executedlist keeps the list of scripts that were started: one MD5
// sum a line, in a file on the root file system. It is what makes a script run
// at most once, and the file is a public interface: scripts edit or delete it
// to be run again, so it is read anew for every question.
//
// # Failure model
//
// A sum that Append has reported as written is on the medium, under that name,
// and survives a power cut at once afterwards. When Append returns an error
// the script must not run; what was written of the line is taken back where
// that is possible, so that the script is not lost for good. Everything that
// makes the list unreliable is an error: a file system that does not outlive
// a restart, a directory or file that somebody else could change, anything
// but a regular file in its place, a file over MaxFileSize.
//
// There is no lock. The list is readable by everybody, and whoever can open a
// file can hold a lock on it for ever. Instead each line is written by one
// write(2) in append mode, which the kernel makes one piece for local file
// systems; two writers cannot mix their lines.
//
// Whether a script may run is not decided here.
package executedlist

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"usbagent/internal/durable"
)

// MaxFileSize bounds the list in bytes: room for two million sums.
const MaxFileSize = 64 << 20

// ErrVolatile is wrapped by Append's error when the list would lie on a file
// system that is empty after a restart.
var ErrVolatile = errors.New("a list there would be forgotten at the next restart, and scripts would run again (autorun.allow_volatile_list)")

// List is the list at one path. Its methods may be called concurrently.
type List struct {
	path          string
	allowVolatile bool
}

// Open names the list at path, which does not have to exist. Nothing is read.
func Open(path string, allowVolatile bool) *List {
	return &List{path, allowVolatile}
}

// Contains tells whether the list has md5, reading it from its beginning. A
// list that does not exist has nothing.
func (l *List) Contains(md5 [16]byte) (bool, error) {
	f, err := l.open(os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read list of executed scripts: %w", err)
	}
	defer f.Close()
	found := false
	err = scan(f, func(sum [16]byte) bool {
		found = sum == md5
		return !found
	})
	if err != nil {
		return false, fmt.Errorf("read list of executed scripts %s: %w", l.path, err)
	}
	return found, nil
}

// Append adds md5 and returns when it is durable and can be read back. The
// file (0644) and its directory (0755) are made where they are missing.
// The error wraps ErrVolatile, durable.ErrExposed or durable.ErrIrregular
// where that is the reason.
func (l *List) Append(md5 [16]byte) error {
	if err := l.append(md5); err != nil {
		return fmt.Errorf("add to list of executed scripts %s: %w", l.path, err)
	}
	return nil
}

func (l *List) append(md5 [16]byte) error {
	dir := filepath.Dir(l.path)
	if err := l.place(dir); err != nil {
		return err
	}
	f, err := l.open(os.O_RDWR | os.O_APPEND)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = l.create()
	}
	if err != nil {
		return err
	}
	defer f.Close()
	undo, err := addLine(f, md5)
	if err == nil {
		err = l.settle(dir, md5)
	}
	if err != nil {
		undo()
	}
	return err
}

// settle makes the names durable and reads the line back. The names also when
// file and directory are old: whoever made them may have died before they were.
func (l *List) settle(dir string, md5 [16]byte) error {
	if err := errors.Join(durable.SyncDir(dir), durable.SyncDir(filepath.Dir(dir))); err != nil {
		return err
	}
	found, err := l.Contains(md5)
	if err == nil && !found {
		err = errors.New("the sum was written but is not there (does something else change the list?)")
	}
	return err
}

// place makes the directory and checks that a list there can be relied on.
func (l *List) place(dir string) error {
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := durable.CheckDir(dir); err != nil {
		return err
	}
	name, volatile, err := durable.FSType(dir)
	if err == nil && volatile && !l.allowVolatile {
		err = fmt.Errorf("%s is on %s: %w", dir, name, ErrVolatile)
	}
	return err
}

// open opens the list and checks that only root can have written it.
func (l *List) open(flag int) (*os.File, error) {
	f, err := durable.Open(l.path, flag, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = durable.CheckFile(l.path, info)
	}
	if err == nil && info.Size() > MaxFileSize-lineSize {
		err = fmt.Errorf("%s: %w (%d bytes)", l.path, durable.ErrTooLarge, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// create makes the list, unless somebody else has just done so.
func (l *List) create() (*os.File, error) {
	f, err := durable.Open(l.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return l.open(os.O_RDWR | os.O_APPEND)
	}
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o644); err != nil { // whatever the umask is
		f.Close()
		return nil, err
	}
	return f, nil
}

// lineSize is what Append adds at most: a newline that somebody left out, the
// sum, a newline.
const lineSize = 34

// addLine writes one line at the end of f in one piece, and syncs it. undo
// takes the line back.
func addLine(f *os.File, md5 [16]byte) (undo func(), err error) {
	undo = func() {}
	info, err := f.Stat()
	if err != nil {
		return undo, err
	}
	line := hex.AppendEncode(nil, md5[:])
	line = append(line, '\n')
	if size := info.Size(); size > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err != nil && err != io.EOF {
			return undo, err
		}
		if last[0] != '\n' {
			line = append([]byte("\n"), line...)
		}
	}
	undo = func() { takeBack(f, info.Size(), line) }
	if _, err := f.Write(line); err != nil {
		return undo, err
	}
	return undo, f.Sync()
}

// takeBack removes what a failed Append wrote after size, as well as it can,
// unless somebody else has written meanwhile. What stays of a line that was
// cut is no sum and harms nobody; what stays of a whole one is a script that
// counts as executed although it never ran.
func takeBack(f *os.File, size int64, line []byte) {
	tail := make([]byte, len(line)+1)
	n, err := f.ReadAt(tail, size)
	if err != io.EOF || n == 0 || !bytes.HasPrefix(line, tail[:n]) {
		return
	}
	if f.Truncate(size) == nil {
		f.Sync()
	}
}

// Parse reads a list. A sum is 32 hex digits of either case at the beginning
// of a line, followed by its end or by white space, so that the output of
// md5sum(1) is a list too ("sum  name", "sum *name", "\sum  name"). Lines end
// with a newline, a carriage return, a NUL (power cuts leave runs of them) or
// any mix; a line that has no sum is skipped. A list over MaxFileSize is an
// error.
func Parse(r io.Reader) (sums [][16]byte, err error) {
	err = scan(r, func(sum [16]byte) bool {
		sums = append(sums, sum)
		return true
	})
	return sums, err
}

// scan calls take with each sum until that returns false. It needs the same
// small memory for every list.
func scan(r io.Reader, take func([16]byte) bool) error {
	in := bufio.NewReaderSize(io.LimitReader(r, MaxFileSize+1), 64<<10)
	var head []byte // of the line, as far as it can matter
	for total := 0; ; total++ {
		c, err := in.ReadByte()
		if err != nil && err != io.EOF {
			return err
		}
		if total > MaxFileSize {
			return durable.ErrTooLarge
		}
		if err == nil && c != '\n' && c != '\r' && c != 0 {
			if len(head) < maxHead {
				head = append(head, c)
			}
			continue
		}
		if sum, ok := sumOf(head); ok && !take(sum) {
			return nil
		}
		head = head[:0]
		if err == io.EOF {
			return nil
		}
	}
}

// maxHead is how many bytes of a line are looked at.
const maxHead = 128

// sumOf returns the sum that a line begins with.
func sumOf(line []byte) (sum [16]byte, ok bool) {
	line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	line = bytes.TrimLeft(line, " \t")
	line = bytes.TrimPrefix(line, []byte(`\`)) // md5sum marks escaped names so
	digits := 2 * len(sum)
	if len(line) < digits || len(line) > digits && line[digits] != ' ' && line[digits] != '\t' {
		return sum, false
	}
	_, err := hex.Decode(sum[:], line[:digits])
	return sum, err == nil
}
