// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"usbagent/config"
)

// checkConfig is "usbagent run --check-config": strict, where the daemon
// itself is lenient. No file is a good configuration: the defaults.
func checkConfig(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Printf("%s does not exist: the defaults are used\n", path)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, config.MaxFileSize+1))
	if err != nil {
		return err
	}
	if len(text) > config.MaxFileSize {
		return no{fmt.Errorf("%s is larger than %d bytes", path, config.MaxFileSize)}
	}
	if _, err := config.Check(path, text); err != nil {
		return no{err}
	}
	fmt.Printf("%s is good\n", path)
	return nil
}
