// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms is the layout: what each package may import besides the standard
// library. Data flows one way, so imports run strictly downward, and leaves do
// not know each other.
var rooms = map[string][]string{
	"advice":             {"internal/spelling"},
	"config":             {"internal/spelling", "github.com/pelletier/go-toml/v2/unstable"},
	"netlink":            {"github.com/pilebones/go-udev/netlink", "golang.org/x/sys/unix"},
	"mount":              {"internal/durable", "internal/detach", "internal/systembus", "github.com/moby/sys/mountinfo", "golang.org/x/sys/unix"},
	"signature":          {"internal/rsa", "internal/sha256", "golang.org/x/crypto/..."},
	"keyring":            {"signature", "internal/durable"},
	"autorun":            {"signature", "internal/durable", "internal/detach", "internal/sha256", "internal/sockets", "internal/staging", "internal/systembus", "golang.org/x/sys/unix"},
	"executedlist":       {"internal/durable"},
	"ledger":             {"internal/durable"},
	"installer":          {"internal/durable", "internal/staging", "internal/systembus", "golang.org/x/sys/unix"},
	"led":                {"github.com/stianeikeland/go-rpio/v4", "github.com/warthog618/go-gpiocdev/uapi", "golang.org/x/sys/unix"},
	"internal/durable":   {"golang.org/x/sys/unix"},
	"internal/detach":    {"golang.org/x/sys/unix"},
	"internal/logs":      {"go.uber.org/zap/zapcore"},
	"internal/rsa":       {},
	"internal/sha256":    {"golang.org/x/sys/cpu"},
	"internal/sockets":   {"golang.org/x/sys/unix"},
	"internal/spelling":  {},
	"internal/staging":   {"internal/durable", "golang.org/x/sys/unix"},
	"internal/systembus": {"internal/sockets"},
	"agent": {"config", "netlink", "mount", "signature", "keyring", "autorun", "executedlist", "ledger", "installer", "led",
		"internal/durable", "internal/logs", "internal/sha256", "internal/staging", "golang.org/x/sys/unix"},
}

const module = "usbagent/"

// TestRoomsImportDownward keeps the table above for every package outside
// the program, tests, packaging and examples, on Linux and on the desks.
func TestRoomsImportDownward(t *testing.T) {
	for _, goos := range []string{"linux", "windows", "darwin"} {
		for _, p := range list(t, goos) {
			room := strings.TrimPrefix(p.ImportPath, module)
			if top, _, _ := strings.Cut(room, "/"); slices.Contains([]string{"cmd", "test", "deploy", "examples"}, top) {
				continue
			}
			allowed, known := rooms[room]
			if !known {
				t.Errorf("%s: package %s is in no room of the table", goos, room)
				continue
			}
			for _, imported := range p.Imports {
				if name := strings.TrimPrefix(imported, module); !standard(imported) && !slices.ContainsFunc(allowed, matches(name)) {
					t.Errorf("%s: %s must not import %s", goos, room, name)
				}
			}
		}
	}
}

// matches returns a function that tells whether a table entry allows name; an
// entry that ends in "..." allows what is below.
func matches(name string) func(string) bool {
	return func(entry string) bool {
		if below, ok := strings.CutSuffix(entry, "..."); ok {
			return strings.HasPrefix(name, below)
		}
		return name == entry
	}
}

// standard reports whether the import path is of the standard library.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".") && first+"/" != module
}

type listed struct {
	ImportPath string
	Imports    []string
}

// list asks the go command for the packages of the module and their imports.
func list(t *testing.T, goos string) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", module+"...")
	cmd.Env = append(cmd.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 3 {
		t.Fatalf("go list named only %d packages: nothing was checked", len(packages))
	}
	return packages
}
