// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"usbagent/internal/durable"
	"usbagent/signature"
)

// object is what stands under a name: a symbolic link or a regular file, whole.
type object struct {
	link string // target as written, "" for a file
	data []byte // of a file
}

func (o object) equal(p object) bool {
	return o.link == p.link && bytes.Equal(o.data, p.data)
}

// read returns what stands at path. Nothing is fs.ErrNotExist; anything but a
// link or a regular file is durable.ErrIrregular.
func read(path string) (object, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return object{}, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		return object{link: target}, err
	}
	data, err := durable.ReadFile(path, signature.MaxKeyringSize)
	return object{data: data}, err
}

// write makes path this object, durably and at one instant, whatever was
// there before.
func (o object) write(path string) error {
	if o.link == "" {
		return durable.WriteFile(path, o.data, 0o644)
	}
	tmp := filepath.Join(filepath.Dir(path), durable.TemporaryPrefix+filepath.Base(path)+".link")
	os.Remove(tmp)
	if err := os.Symlink(o.link, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// load parses the keyring that path names, through links, and checks that
// nobody but root can change it, its directory, or a link on the way.
func load(path string) (*signature.Keyring, error) {
	if err := durable.CheckDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := durable.CheckWay(path); err != nil {
		return nil, err
	}
	f, err := durable.OpenThrough(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := durable.CheckFile(path, info); err != nil {
		return nil, err
	}
	data, err := durable.ReadAll(f, signature.MaxKeyringSize)
	if err != nil {
		return nil, err
	}
	return keyringOf(data)
}

// blank tells whether what stands at path is a file with nothing in it: no
// byte, or only the zeros and white space that power cuts and editors leave.
func (o object) blank() bool {
	return o.link == "" && len(bytes.Trim(o.data, "\x00 \t\r\n")) == 0
}

// readable turns the errors of load into sentences for people.
func readable(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no keyring at %s: %w", path, err)
	}
	return fmt.Errorf("the keyring %s cannot be used: %w", path, err)
}
