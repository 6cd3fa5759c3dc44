// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"usbagent/installer"
	"usbagent/internal/durable"
	"usbagent/internal/logs"
	"usbagent/led"
)

// shellSetup is what the usual shell set-up leaves: a directory of scripts
// that a udev rule and a unit run for each stick.
const shellSetup = "/etc/usb-mount.d"

// lookAround tells, in one line each, what this board lacks and what of an
// earlier set-up is still there. Nothing of it keeps the agent from working.
func (a *Agent) lookAround() {
	a.Log.Info("usbagent starts", logs.String("version", a.Version), logs.String("configuration", a.ConfigPath))
	if lacking := a.lacks(); len(lacking) > 0 {
		a.Log.Warn("this board lacks something, the work goes on without it", logs.String("lacks", strings.Join(lacking, "; ")))
	}
	if info, err := os.Stat(a.Root + shellSetup); err == nil && info.IsDir() {
		a.Log.Warn("a shell set-up for USB sticks is still there, and would handle each stick a second time: "+
			"remove the udev rule and the unit that run it, then this directory; its list of executed scripts is kept and honoured",
			logs.String("directory", shellSetup), logs.String("list", a.Config.Autorun.ExecutedList))
	}
}

// lacks lists what is not there and what that means.
func (a *Agent) lacks() []string {
	c := a.Config
	var out []string
	add := func(missing bool, what string) {
		if missing {
			out = append(out, what)
		}
	}
	add(a.ConfigPath != "" && absent(a.ConfigPath), "configuration "+a.ConfigPath+" (the defaults apply)")
	add(absent(c.Keyring.Path), "keyring "+c.Keyring.Path+" (nothing can be verified)")
	add(c.Keyring.Enabled && readOnly(filepath.Dir(c.Keyring.Path)), "a writable "+filepath.Dir(c.Keyring.Path)+" (the keyring cannot be replaced)")
	if c.Autorun.Enabled {
		list := filepath.Dir(c.Autorun.ExecutedList)
		kind, volatile, err := durable.FSType(nearest(list))
		add(err == nil && volatile && !c.Autorun.AllowVolatileList, "a lasting "+list+" (it is on "+kind+": no script will run, since it would run again after each restart)")
		add(readOnly(list), "a writable "+list+" (no script will run, since it could not be noted as executed)")
	}
	if c.Installer.Backend == "rauc" {
		conf := a.RAUCConf
		if conf == "" {
			conf = installer.DefaultSystemConf
		}
		add(absent(conf), "RAUC's "+conf+" (no image will be installed)")
		add(!installer.BusThere(), "the D-Bus system bus (no image will be installed through RAUC)")
	}
	add(absent("/run/systemd/system"), "systemd (scripts run in sessions of the agent's own)")
	model := led.Model(a.Root)
	backend, _ := led.Board(model)
	add(c.LED.Backend == led.BackendAuto && c.LED.Name == "" && c.LED.Chip == "" && c.LED.Pin == 0 && backend == led.BackendNone,
		"a LED that is known (board model \""+Show(model)+"\"; led.backend, led.name)")
	return out
}

// absent says that nothing is at path. What cannot be looked at may be there.
func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// nearest is path, or the directory above it that exists.
func nearest(path string) string {
	for path != "/" && path != "." && absent(path) {
		path = filepath.Dir(path)
	}
	return path
}

// readOnly says that path, or where it would be made, is on a file system that
// is mounted read-only.
func readOnly(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(nearest(path), &st) == nil && st.Flags&unix.ST_RDONLY != 0
}

// mountRoot is where sticks are mounted: the configured place, or one below
// the run directory where no directory can be made there.
func (a *Agent) mountRoot() string {
	root := a.Config.Mount.Root
	if !readOnly(root) {
		return root
	}
	instead := filepath.Join(a.RunDir, "media")
	a.Log.Warn("sticks are mounted elsewhere, since the configured place is on a read-only file system",
		logs.String("configured", root), logs.String("instead", instead))
	return instead
}
