// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package led

import (
	"errors"
	"os"
)

func writeFile(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
