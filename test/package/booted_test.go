// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package package_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usbagent/test/booted"
	"usbagent/test/need"
)

// newer is the package of the next version, for this machine.
func newer(t *testing.T) string {
	t.Helper()
	tree := filepath.Join(packages(t), "../..")
	if err := run(tree, "make", "package", "OUT=build/newer", "LINUX=build/usbagent-linux-amd64", "VERSION=1.2.3"); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(tree, "build/newer/usbagent_1.2.3_amd64.deb")
}

// machine is a booted systemd on which packages are installed.
type machine struct {
	*booted.Machine
	t *testing.T
}

func boot(t *testing.T) machine {
	t.Helper()
	need.Root(t)
	older, newer := filepath.Join(packages(t), "usbagent_1.2.3~rc.1_amd64.deb"), newer(t)
	m := machine{booted.Boot(t, nil), t}
	for name, path := range map[string]string{"older.deb": older, "newer.deb": newer} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(m.Shared, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// What keeps services from starting on a machine that builds packages.
	m.sh("rm -f /usr/sbin/policy-rc.d")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("journal:\n%s", m.Journal(t))
		}
	})
	return m
}

func (m machine) sh(line string) string {
	m.t.Helper()
	return strings.TrimSpace(m.Run(m.t, "sh", "-c", line))
}

// install installs a package as dpkg does for somebody who keeps his own
// configuration.
func (m machine) install(name string) {
	m.t.Helper()
	m.sh("DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i /shared/" + name + " 2>&1")
}

// runs waits until the agent of that version is at work.
func (m machine) runs(version string) {
	m.t.Helper()
	want := "enabled active " + version
	var got string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		got = m.sh(`echo $(systemctl is-enabled usbagent; systemctl is-active usbagent; sed -n 's/.*"version": "\(.*\)",/\1/p' /run/usbagent/status.json; true)`)
		if got == want {
			return
		}
	}
	m.t.Fatalf("the agent is %q, want %q: %s", got, want, m.sh("systemctl status usbagent; true"))
}

// tree lists what is installed and configured, without dpkg's own books and
// what the system's own services write.
func (m machine) tree() []string {
	m.t.Helper()
	return strings.Split(m.sh(`find /etc /lib/ /usr /opt /srv /media /var /run/usbagent -path /var/lib/dpkg -prune -o -path /usr/share/man -prune -o -path /var/cache/man -prune -o \
		-path /var/log -prune -o -path /var/tmp -prune -o -path /var/lib/systemd -prune -o -print 2>/dev/null | sort -u`), "\n")
}

// TestPackageLife installs, upgrades, disables, removes and purges the package
// on a booted systemd.
func TestPackageLife(t *testing.T) {
	m := boot(t)
	before := m.tree()

	m.install("older.deb")
	m.runs("1.2.3-rc.1")
	if got := m.sh("stat -c %a:%U /etc/usbagent/config.toml /var/cache/usb-autorun"); got != "644:root\n755:root" {
		t.Errorf("configuration and place of the list: %s", got)
	}
	m.sh("usbagent run --check-config && usbagent status")
	m.sh("echo 0123456789abcdef0123456789abcdef >/var/cache/usb-autorun/executed.list; echo '# mine' >>/etc/usbagent/config.toml")

	first := m.sh("systemctl show usbagent -p MainPID --value")
	m.install("newer.deb")
	m.runs("1.2.3")
	if second := m.sh("systemctl show usbagent -p MainPID --value"); second == first || second == "0" {
		t.Errorf("the upgrade left the old agent at work: process %s, then %s", first, second)
	}
	if got := m.sh("tail -n 1 /etc/usbagent/config.toml; cat /var/cache/usb-autorun/executed.list"); got != "# mine\n0123456789abcdef0123456789abcdef" {
		t.Errorf("the upgrade changed configuration or list: %s", got)
	}

	m.sh("systemctl disable --now usbagent 2>&1")
	m.install("older.deb")
	if got := m.sh("echo $(systemctl is-enabled usbagent; systemctl is-active usbagent; true)"); got != "disabled inactive" {
		t.Errorf("an agent that was disabled is %q after another version came", got)
	}
	m.sh("systemctl enable --now usbagent 2>&1")
	m.runs("1.2.3-rc.1")

	m.sh("dpkg -r usbagent 2>&1")
	if got := m.sh("echo $(systemctl is-active usbagent; ls /usr/bin/usbagent /lib/systemd/system/usbagent.service 2>/dev/null; true)"); got != "inactive" {
		t.Errorf("after the removal: %q", got)
	}
	if got := m.sh("tail -n 1 /etc/usbagent/config.toml; cat /var/cache/usb-autorun/executed.list"); got != "# mine\n0123456789abcdef0123456789abcdef" {
		t.Errorf("the removal took configuration or list: %s", got)
	}
	m.install("newer.deb")
	m.runs("1.2.3")

	m.sh("dpkg -P usbagent 2>&1")
	if got := m.sh("systemctl --failed --no-legend --plain | grep usbagent; systemctl list-unit-files --no-legend 'usbagent.service'; find /var/lib/systemd -name '*usbagent*'; true"); got != "" {
		t.Errorf("systemd still knows: %s", got)
	}
	after := m.tree()
	// Without the list every old stick would run its script once more.
	if left, want := without(after, before), []string{"/var/cache/usb-autorun", "/var/cache/usb-autorun/executed.list"}; !slices.Equal(left, want) {
		t.Errorf("the purge left %q, want %q", left, want)
	}
	if taken := without(before, after); len(taken) > 0 {
		t.Errorf("the purge took %q, which was there before", taken)
	}
}

// without is what of all is not among those.
func without(all, those []string) []string {
	known := make(map[string]bool, len(those))
	for _, s := range those {
		known[s] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return known[s] })
}
