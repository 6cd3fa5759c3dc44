// SPDX-License-Identifier: GPL-3.0-or-later

package sha256_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"usbagent/test/need"
)

// TestOnARM runs the tests of this package as boards would, instruction by
// instruction: on the i.MX6ULL's processor, and on one that lacks NEON.
func TestOnARM(t *testing.T) {
	if runtime.GOARCH == "arm" {
		return
	}
	qemu := need.Tool(t, "qemu-arm-static")
	program := buildARM(t, ".", "test", "-c")
	for processor, has := range map[string]bool{"cortex-a7": true, "cortex-a7,neon=off": false} {
		out, err := exec.Command(qemu, "-cpu", processor, program, "-test.v").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", processor, err, out)
		}
		for _, test := range []string{"Lengths", "Words", "Pieces", "Edges", "Threads"} {
			for way, want := range map[string]bool{"NEON": has, "scalar": true} {
				if bytes.Contains(out, []byte("--- PASS: Test"+test+"/"+way+" ")) != want {
					t.Errorf("%s: %s of %s: %v is wanted\n%s", processor, test, way, want, out)
				}
			}
		}
	}
}

// buildARM builds a program for the board from the package in dir.
func buildARM(t *testing.T, dir string, goCommand ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", append(goCommand, "-o", program, ".")...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm", "GOARM=7", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// instruction is one of neon.h as Go's assembler is given it, and as others write it.
type instruction struct{ call, text string }

// instructions are all of neon.h, with every register in each of their fields and
// every number that fits.
func instructions() (list []instruction) {
	add := func(text, call string, args ...any) {
		list = append(list, instruction{fmt.Sprintf(call, args...), fmt.Sprintf(text, args...)})
	}
	for a := range 16 {
		b, c := (a+5)%16, (a+11)%16
		add("vadd.i32 q%d, q%d, q%d", "VADDQ(%d, %d, %d)", a, b, c)
		add("veor q%d, q%d, q%d", "VEORQ(%d, %d, %d)", a, b, c)
		add("vext.8 q%d, q%d, q%d, #4", "VEXTQ(%d, %d, %d)", a, b, c)
		add("vrev32.8 q%d, q%d", "VREVQ(%d, %d)", a, b)
	}
	for a := range 32 {
		b, c := (a+11)%32, (a+21)%32
		add("vadd.i32 d%d, d%d, d%d", "VADDD(%d, %d, %d)", a, b, c)
		add("veor d%d, d%d, d%d", "VEORD(%d, %d, %d)", a, b, c)
		if n := a; n > 0 {
			q, r := a%16, (a+7)%16
			add("vshr.u32 q%d, q%d, #%d", "VSHRQ(%d, %d, %d)", q, r, n)
			add("vsli.32 q%d, q%d, #%d", "VSLIQ(%d, %d, %d)", q, r, n)
			add("vshr.u32 d%d, d%d, #%d", "VSHRD(%d, %d, %d)", a, b, n)
			add("vsli.32 d%d, d%d, #%d", "VSLID(%d, %d, %d)", a, b, n)
		}
	}
	for d := range 29 {
		r := d % 13
		add("vld1.8 {d%[1]d-d%[3]d}, [r%[2]d]!", "VLD1(%[1]d, %[2]d)", d, r, d+3)
		add("vldmia r%[2]d!, {d%[1]d-d%[3]d}", "VLDM(%[2]d, %[1]d, 4)", d, r, d+3)
		add("vstmia r%[2]d, {d%[1]d-d%[3]d}", "VSTM(%[2]d, %[1]d, 4)", d, r, d+3)
	}
	for n := 4; n < 256; n += 4 {
		add("ldrd r%d, [r13, #%d]", "LDRD(%d, %d)", n%12&^1, n)
	}
	return list
}

// TestEncodings has another assembler's tool read what Go's assembler makes of
// neon.h, since QEMU executes what it can, and may forgive what silicon does not.
func TestEncodings(t *testing.T) {
	if runtime.GOARCH == "arm" {
		return
	}
	objdump := need.Tool(t, "arm-linux-gnueabihf-objdump")
	header, err := os.ReadFile("neon.h")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	source.WriteString("#include \"textflag.h\"\n#include \"neon.h\"\nTEXT ·all(SB), NOSPLIT, $0-0\n")
	used := map[string]bool{}
	for _, i := range instructions() {
		name, _, _ := strings.Cut(i.call, "(")
		used[name] = true
		source.WriteString("\t" + i.call + "\n")
	}
	for _, macro := range regexp.MustCompile(`(?m)^#define (\w+)\(.*WORD`).FindAllSubmatch(header, -1) {
		if !used[string(macro[1])] {
			t.Errorf("%s is not tried", macro[1])
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module encodings\n\ngo 1.26\n", "main.go": "package main\n\nfunc all()\n\nfunc main() { all() }\n",
		"neon.h": string(header), "all_arm.s": source.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(objdump, "-d", "-M", "reg-names-raw", "--disassemble=main.all", buildARM(t, dir, "build")).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := disassembled(string(out))
	for n, want := range instructions() {
		if n >= len(got) || got[n] != want.text {
			t.Fatalf("%s is %q, not %q", want.call, got[min(n, len(got)):min(n+1, len(got))], want.text)
		}
	}
}

// disassembled are the instructions of objdump's output.
func disassembled(text string) (list []string) {
	for _, line := range regexp.MustCompile(`(?m)^ *[0-9a-f]+:\t[0-9a-f]+ *\t([^@;\n]*)`).FindAllStringSubmatch(text, -1) {
		list = append(list, strings.Join(strings.Fields(line[1]), " "))
	}
	return list
}
