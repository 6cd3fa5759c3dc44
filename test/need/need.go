// SPDX-License-Identifier: GPL-3.0-or-later

// Package need says what a test needs from the machine, and skips it with the
// reason where the machine lacks it. USBAGENT_REQUIRE, a comma-separated list
// of "root", "rauc", "board", "tools", "kernel" (or "all"), turns such skips into
// failures, so that nothing is skipped silently in CI.
package need

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Root skips the test where it does not run as uid 0.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		miss(t, "root", "needs root (mount, loop devices, ownership)")
	}
}

// Tool skips the test where the program name is not in PATH, and returns its path.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		miss(t, "tools", "needs the program "+name)
	}
	return path
}

// RAUC skips the test where rauc, its service or dbus-daemon are missing.
func RAUC(t testing.TB) {
	t.Helper()
	for _, name := range []string{"rauc", "dbus-daemon", "mksquashfs"} {
		if _, err := exec.LookPath(name); err != nil {
			miss(t, "rauc", "needs the program "+name)
		}
	}
}

// Board skips the test where the emulated board is not asked for: it takes
// minutes to build and is run by "make test".
func Board(t testing.TB) {
	t.Helper()
	if os.Getenv("USBAGENT_BOARD") == "" && !required("board") {
		miss(t, "board", "needs the emulated board (set USBAGENT_BOARD=1, or run make test)")
	}
}

// Measurement skips what is a benchmark in the shape of a test: it judges
// nothing, and target is what runs it.
func Measurement(t testing.TB, target string) {
	t.Helper()
	t.Skipf("a measurement, not a test: %s runs it", target)
}

// Machine skips the test where this machine lacks what, which is neither a
// program nor a privilege.
func Machine(t testing.TB, what string) {
	t.Helper()
	miss(t, "root", "needs "+what)
}

// OnBoard skips a test for which this machine's kernel lacks what, and names
// the scenario of test/board that proves the same thing on the board's kernel.
// Where the board is asked for, both are in the same run, so nothing is left
// out; test/setup says beforehand what the kernel lacks. USBAGENT_REQUIRE with
// "kernel" makes it a failure.
func OnBoard(t testing.TB, what, scenario string) {
	t.Helper()
	miss(t, "kernel", "needs "+what+" (on the emulated board "+scenario+" proves it)")
}

// required reports whether USBAGENT_REQUIRE lists what.
func required(what string) bool {
	list := strings.Split(os.Getenv("USBAGENT_REQUIRE"), ",")
	return slices.Contains(list, what) || slices.Contains(list, "all")
}

func miss(t testing.TB, what, message string) {
	t.Helper()
	if required(what) {
		t.Fatalf("%s; USBAGENT_REQUIRE=%s forbids skipping", message, os.Getenv("USBAGENT_REQUIRE"))
	}
	t.Skipf("not proven here: %s", message)
}
