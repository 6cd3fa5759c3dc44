// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"io/fs"
	"strings"

	"usbagent/advice"
	"usbagent/config"
	"usbagent/signature"
)

// confusions warns of signed files on a stick that an older board, whose shell
// scripts look at the signature only, would take for something else.
func confusions(root fs.FS, fold bool) []advice.Finding {
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		return nil
	}
	var list []advice.Finding
	for _, e := range entries {
		name := e.Name()
		if fold {
			name = strings.ToLower(name)
		}
		if name != "autorun.sh" && name != "fwupdate-keyring.pem" || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil || info.Size() > config.MaxScriptSize {
			continue
		}
		content, err := fs.ReadFile(root, e.Name())
		if err != nil {
			continue
		}
		for _, text := range signature.Confusions(content) {
			list = append(list, advice.Finding{Weight: advice.Warning, File: e.Name(), Message: text, Advice: "boards with usbagent refuse the confusion; sign nothing like it for others"})
		}
	}
	return list
}
