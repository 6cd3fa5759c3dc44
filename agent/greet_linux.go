// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"path"
	"slices"

	"usbagent/internal/logs"
	"usbagent/led"
	"usbagent/netlink"
)

// uevents are the options of the socket: a disk that the kernel announces is
// greeted by who reads the event, before anybody else is woken for it.
func (a *Agent) uevents() netlink.Options {
	return netlink.Options{Announced: func(devpath string) {
		name := path.Base(devpath)
		a.greet(name, true, func() bool { return netlink.GlanceAt("", devpath) })
	}}
}

// greet switches the LED on for what looks like the first stick, before all is
// read that decides, and reports whether it did. early is whether the hint at
// the disk is still to come.
func (a *Agent) greet(name string, early bool, glance func() bool) bool {
	if !slices.Contains(a.Config.Devices.Allow, netlink.BusUSB) || !glance() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sticks) > 0 || a.rebooting || slices.Contains(a.welcome, name) {
		return false
	}
	if early {
		a.welcome = append(a.welcome, name)
	}
	a.Light.Show(led.Pattern{Kind: led.On})
	return true
}

// greeted reports, once, whether the LED is on for name since it was announced.
func (a *Agent) greeted(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := len(a.welcome)
	a.welcome = slices.DeleteFunc(a.welcome, func(x string) bool { return x == name })
	return len(a.welcome) < before
}

// dismiss is what follows greet: the LED is as it should be where it was no
// stick after all, and the log tells of one that left too soon to be looked at.
func (a *Agent) dismiss(name string) {
	known := slices.ContainsFunc(a.plugged(), func(s *stick) bool { return s.disk.Name == name })
	if !known && !netlink.Glance("", name) {
		a.Log.Info("stick left before it was looked at", logs.String("device", name))
	}
	a.publish()
}

// dismissAll is dismiss for all that were announced, whose names were lost.
func (a *Agent) dismissAll() {
	a.mu.Lock()
	names := a.welcome
	a.welcome = nil
	a.mu.Unlock()
	for _, name := range names {
		a.dismiss(name)
	}
}
