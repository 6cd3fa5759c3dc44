// SPDX-License-Identifier: GPL-3.0-or-later

// Package examples runs what lies beside it, as its readers would.
package examples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/test/need"
)

func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// desk copies the examples to a directory, with the script's target inside it,
// and puts the program where a shell finds it.
func desk(t *testing.T) (dir, target string) {
	t.Helper()
	need.Tool(t, "openssl")
	dir = t.TempDir()
	target = filepath.Join(dir, "srv", "example", "station.conf")
	files, err := filepath.Glob("*.sh")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		run(t, ".", "sh", "-n", name)
		mine := strings.ReplaceAll(string(text), "/srv/", dir+"/srv/")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(mine), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, ".", "go", "build", "-o", filepath.Join(dir, "bin", "usbagent"), "usbagent/cmd/usbagent")
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	return dir, target
}

// TestRecipes makes the stick of each recipe, asks what a board would do, and
// has the real pipeline do it.
func TestRecipes(t *testing.T) {
	need.Root(t)
	dir, target := desk(t)
	for _, recipe := range []string{"stick-openssl.sh", "stick-usbagent.sh"} {
		work := filepath.Join(dir, strings.TrimSuffix(recipe, ".sh"))
		run(t, dir, "sh", recipe, work)
		out := run(t, work, "usbagent", "check", "--keyring", "vendor-ca.pem", "stick")
		if !strings.Contains(out, "No step would be refused") || strings.Contains(out, "Worth knowing") {
			t.Errorf("%s: %s", recipe, out)
		}
		os.Remove(target)
		config := filepath.Join(work, "config.toml")
		text := fmt.Sprintf("keyring.path = %q\nautorun.executed_list = %q\nautorun.allow_volatile_list = true\ninstaller.backend = \"none\"\nled.backend = \"none\"\nstate.dir = %q\nstatus.path = %q\n",
			work+"/board.pem", work+"/cache/executed.list", work+"/state", work+"/status.json")
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, work, "cp", "vendor-ca.pem", "board.pem")
		run(t, work, "usbagent", "process", "--config", config, "--run-dir", work+"/run", "stick")
		if conf, err := os.ReadFile(target); err != nil || !strings.Contains(string(conf), "max_current = 32") {
			t.Errorf("%s: the script left %q, %v", recipe, conf, err)
		}
		run(t, work, "cmp", "board.pem", "my-ca.pem")
	}
}
