// SPDX-License-Identifier: GPL-3.0-or-later

package mount

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/test/need"
)

// mkfs makes an image of size bytes with a program of mkfs's kind; "IMAGE" in
// its arguments stands for the file.
func mkfs(t testing.TB, size int64, command ...string) string {
	t.Helper()
	tool := need.Tool(t, command[0])
	image := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	run(t, tool, append(command[1:], image)...)
	return image
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
