// SPDX-License-Identifier: GPL-3.0-or-later

// Package deploy_test checks what is shipped beside the program.
package deploy_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"usbagent/test/need"
)

const unit = "usbagent.service"

// maxExposure is what docs/security.md promises; systemd-analyze security, 0 to 10.
const maxExposure = 4.0

// namespaced are the directives that give a service a mount namespace of its
// own in some version of systemd (exec_needs_mount_namespace in its source,
// and systemd.exec(5)).
var namespaced = []string{
	"BindPaths", "BindReadOnlyPaths", "DynamicUser", "ExecPaths",
	"ExtensionDirectories", "ExtensionImages", "InaccessiblePaths", "LogNamespace", "MountAPIVFS", "MountFlags",
	"MountImages", "NoExecPaths", "PrivateBPF", "PrivateDevices", "PrivateIPC", "PrivateMounts", "PrivatePIDs", "PrivateTmp", "PrivateUsers",
	"ProcSubset", "ProtectControlGroups", "ProtectHome", "ProtectKernelLogs",
	"ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem", "ReadOnlyPaths",
	"ReadWritePaths", "RootDirectory", "RootHash", "RootImage", "TemporaryFileSystem",
}

// directives reads the unit's settings.
func directives(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			all[name] = append(all[name], value)
		}
	}
	return all
}

func TestUnitHasNoMountNamespace(t *testing.T) {
	all := directives(t)
	for name := range all {
		if slices.Contains(namespaced, name) {
			t.Errorf("%s= gives the service a mount namespace: nobody else would see its mounts", name)
		}
	}
	if len(all) < 20 {
		t.Errorf("only %d directives read", len(all))
	}
}

func TestUnitStaysAvailable(t *testing.T) {
	all := directives(t)
	for name, want := range map[string]string{
		"Type": "notify", "NotifyAccess": "main", "WatchdogSec": "30s", "Restart": "always", "StartLimitIntervalSec": "0",
		"RuntimeDirectory": "usbagent", "RuntimeDirectoryPreserve": "yes", "WantedBy": "multi-user.target",
		"After": "local-fs.target dbus.service dbus.socket", "Wants": "dbus.socket",
	} {
		if got := all[name]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"Requires", "BindsTo", "Requisite", "PartOf"} {
		if got := all[name]; got != nil {
			t.Errorf("%s=%q: the agent must not stay away or go because of another unit", name, got)
		}
	}
	for _, value := range append(append(all["After"], all["Wants"]...), all["Before"]...) {
		if strings.Contains(value, "udev") || strings.Contains(value, "rauc") {
			t.Errorf("%q: neither udev nor RAUC is needed to start", value)
		}
	}
}

func TestUnitExposure(t *testing.T) {
	analyze := need.Tool(t, "systemd-analyze")
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "./"+unit).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := regexp.MustCompile(`Overall exposure level for .*: ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("no figure in\n%s", out)
	}
	if strings.Contains(string(out), "ignoring") || strings.Contains(string(out), "Unknown") {
		t.Errorf("systemd does not understand the unit:\n%s", out[:min(len(out), 1000)])
	}
	if figure, err := strconv.ParseFloat(string(found[1]), 64); err != nil || figure >= maxExposure {
		t.Errorf("exposure %s, want below %.1f", found[1], maxExposure)
	}
}
