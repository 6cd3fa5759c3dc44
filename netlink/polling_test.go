// SPDX-License-Identifier: GPL-3.0-or-later

package netlink

import (
	"os"
	"path/filepath"
	"testing"
)

// TestEnablePolling: only where the medium can change, the driver can tell,
// and nobody has it asked.
func TestEnablePolling(t *testing.T) {
	const usual = "/sys/module/block/parameters/events_dfl_poll_msecs"
	for name, c := range map[string]struct {
		change map[string]string // attribute of sdb, or path below the root
		want   string            // events_poll_msecs afterwards
	}{
		"reader, no udev":           {nil, "2000"},
		"reader without a medium":   {map[string]string{"size": "0\n"}, "2000"},
		"udev polls by default":     {map[string]string{usual: "2000\n"}, "-1\n"},
		"somebody chose a time":     {map[string]string{"events_poll_msecs": "500\n"}, "500\n"},
		"somebody chose never":      {map[string]string{"events_poll_msecs": "0\n"}, "0\n"},
		"the driver cannot tell":    {map[string]string{"events": "\n"}, "-1\n"},
		"it tells of ejecting only": {map[string]string{"events": "eject_request\n"}, "-1\n"},
		"CD drive":                  {map[string]string{"events": "media_change eject_request\n"}, "2000"},
		"fixed medium":              {map[string]string{"removable": "0\n"}, "-1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			root := plant(t, "usb")
			for path, content := range c.change {
				if filepath.IsAbs(path) {
					path = filepath.Join(root, path)
				} else {
					path = filepath.Join(at(t, root, "sdb"), path)
				}
				put(t, path, content)
			}
			d, _ := refresh(t, root, "sdb", BusUSB)
			if needs := needsPolling(blockDir(root).join("sdb"), sysDir(root), d.Removable); needs != (c.want == "2000") {
				t.Errorf("needs polling: %v", needs)
			}
			if err := EnablePolling(root, d); err != nil {
				t.Error(err)
			}
			got, err := os.ReadFile(filepath.Join(at(t, root, "sdb"), "events_poll_msecs"))
			if err != nil || string(got[:len(c.want)]) != c.want {
				t.Errorf("events_poll_msecs is %q, want %q, %v", got, c.want, err)
			}
		})
	}
}

func TestEnablePollingOfAPulledReader(t *testing.T) {
	root := plant(t, "usb")
	d, _ := refresh(t, root, "sdb", BusUSB)
	os.RemoveAll(at(t, root, "sdb"))
	if err := EnablePolling(root, d); err != nil {
		t.Error(err)
	}
}
