// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package led

import (
	"errors"
	"os"
)

// attributes are the files of a LED, which are there before they are written to.
type attributes struct{ dir string }

func (a *attributes) write(name, value string) error {
	f, err := os.OpenFile(a.dir+"/"+name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

func (a *attributes) close() error { return nil }
