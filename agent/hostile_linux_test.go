// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"usbagent/test/disk"
	"usbagent/test/need"
	"usbagent/test/raucbench"
)

// wanted are the names that mean something on a stick.
var wanted = []string{"fwupdate-keyring.pem", "fwupdate-keyring.pem.p7s", "autorun.sh", "autorun.sh.p7s", "firmware.image"}

// genuine writes a pair of each kind, and an image, into dir: what a link on a
// stick must not lead to.
func (b *bench) genuine(dir string) {
	b.must(os.MkdirAll(dir, 0o755))
	f := b.keyringFiles()
	f["autorun.sh"] = "#!/bin/sh\necho followed >>" + b.dir + "/out\n"
	f.sign(b, "autorun.sh", vendor)
	f["firmware.image"] = "SECRET of the board\n"
	for name, content := range f {
		b.must(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
}

// TestFilesOfOtherTypes: what is no regular file is refused, whatever stands
// behind it, and nothing is followed or waited for.
func TestFilesOfOtherTypes(t *testing.T) {
	t.Run("openat2", func(t *testing.T) { otherTypes(t, newBench(t)) })
	// As on kernels before 5.6, and under the unit's RestrictSUIDSGID.
	t.Run("openat", func(t *testing.T) {
		b := newBench(t)
		b.under = []string{need.Tool(t, "strace"), "-D", "-f", "--seccomp-bpf", "-qq", "-o", b.dir + "/trace", "-e", "inject=openat2:error=ENOSYS"}
		otherTypes(t, b)
		if !strings.Contains(read(t, b.dir+"/trace"), "(INJECTED)") {
			t.Error("openat2 was never tried: nothing was proven")
		}
	})
}

func otherTypes(t *testing.T, b *bench) {
	b.withRAUC()
	b.start()
	host := filepath.Join(b.dir, "host")
	b.genuine(host)
	before := read(t, b.keyringPath())
	for _, c := range []struct {
		kind string
		make func(path, name string) error
	}{
		{"a symbolic link", func(p, n string) error { return os.Symlink(filepath.Join(host, n), p) }},
		{"a symbolic link", func(p, n string) error { return os.Symlink("inside/"+n, p) }},
		{"a symbolic link", func(p, n string) error { return os.Symlink("../../host/"+n, p) }},
		{"a symbolic link", func(p, n string) error { return os.Symlink(n, p) }},
		{"a symbolic link", func(p, n string) error { return os.Symlink("/proc/self/fd/0", p) }},
		{"a symbolic link", func(p, n string) error { return os.Symlink("/dev/zero", p) }},
		{"a symbolic link", func(p, n string) error { return os.Symlink("nowhere", p) }},
		{"a FIFO", func(p, n string) error { return unix.Mkfifo(p, 0o644) }},
		{"a block device", func(p, n string) error { return unix.Mknod(p, unix.S_IFBLK|0o644, int(unix.Mkdev(7, 0))) }},
		{"a character device", func(p, n string) error { return unix.Mknod(p, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))) }},
		{"a socket", func(p, n string) error { return unix.Mknod(p, unix.S_IFSOCK|0o644, 0) }},
		{"a directory", func(p, n string) error { return os.Mkdir(p, 0o755) }},
	} {
		begun := time.Now()
		device := b.plug(b.stick("TYPES", nil, func(root string) {
			b.genuine(filepath.Join(root, "inside"))
			for _, name := range wanted {
				b.must(c.make(filepath.Join(root, name), name))
			}
		}))
		s := b.done(device)
		for _, kind := range []string{"keyring", "autorun", "image"} {
			b.expect(s, kind, "refused", c.kind)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("%s: took %v", c.kind, took)
		}
		b.pull(device)
	}
	if b.out() != "" || read(t, b.keyringPath()) != before || strings.Contains(b.logText(), "SECRET") {
		t.Errorf("a link was followed: scripts wrote %q", b.out())
	}
}

// TestOddRegularFiles: files that are regular, in an odd way.
func TestOddRegularFiles(t *testing.T) {
	b := newBench(t)
	b.withRAUC()
	b.start()
	need.Tool(t, "debugfs")
	n := 0
	script := func() files {
		n++
		return b.scriptFiles(fmt.Sprintf("echo ran %d >>%s/out", n, b.dir))
	}
	for _, c := range []struct {
		name    string
		prepare func(root string)
		debugfs string
	}{
		{"mode 000 of somebody else", func(root string) {
			os.Chown(root+"/autorun.sh", 1000, 1000)
			os.Chmod(root+"/autorun.sh", 0)
			os.Chmod(root+"/autorun.sh.p7s", 0)
		}, ""},
		{"set-user-ID and writable", func(root string) { os.Chmod(root+"/autorun.sh", 0o777|os.ModeSetuid|os.ModeSetgid|os.ModeSticky) }, ""},
		{"hard links", func(root string) {
			os.Link(root+"/autorun.sh", root+"/other")
			os.Link(root+"/autorun.sh.p7s", root+"/other.p7s")
		}, ""},
		{"immutable, append-only", func(string) {}, "set_inode_field autorun.sh flags 0x80030\n"},
	} {
		image := b.stick("ODD", script(), c.prepare)
		if c.debugfs != "" {
			cmd := exec.Command("debugfs", "-w", image)
			cmd.Stdin = strings.NewReader(c.debugfs)
			out, err := cmd.CombinedOutput()
			b.must(err)
			t.Logf("debugfs: %s", out)
		}
		device := b.plug(image)
		s := b.done(device)
		b.expect(s, "autorun", "done", "exit status 0")
		if !strings.HasSuffix(b.out(), fmt.Sprintf("ran %d\n", n)) {
			t.Errorf("%s: the scripts wrote %q", c.name, b.out())
		}
		b.pull(device)
	}
	b.mkfs = []string{"-b", "4096"}
	device := b.plug(b.stick("SPARSE", nil, func(root string) {
		for _, name := range wanted {
			b.must(os.WriteFile(filepath.Join(root, name), nil, 0o644))
			b.must(os.Truncate(filepath.Join(root, name), 4<<30))
		}
	}))
	s := b.done(device)
	b.expect(s, "keyring", "refused", "the limit is 1 MiB")
	b.expect(s, "autorun", "refused", "the limit is")
	b.expect(s, "image", "refused", "no RAUC bundle")
	b.pull(device)
}

// hostileNames are names of images, and what each of them would do to whom.
var hostileNames = []string{
	"\x1b[2J\x1b]0;owned\a.image", "two\nlines level=error.image", "carriage\rreturn.image", "C1 \xc2\x9b31m.image",
	"not \xff\xfe UTF-8.image", "exe\u202egpj.image", "sep\u2028arator.image", "tab\t.image", "bell\a\b\x7f.image",
	"$(touch X).image", "`touch X`.image", ";touch X;.image", "'; touch X; '.image", "\"; touch X; \".image", "| touch X.image",
	"-rf.image", "--help.image", " lead.image", "a\\nb.image", "%s%n%d.image", strings.Repeat("ü", 124) + ".image", "trail.image ", "trail.image.",
	".hidden.image", "._autorun.sh", "AUTORUN.SH", "autorun.sh ", "autorun.sh.", "autorun.sh\n", "Fwupdate-Keyring.pem", "FIRMWARE.IMAGE",
}

// hostileLabels fit ext4's 16 bytes.
var hostileLabels = []string{"../../etc", "/", "..", "$(touch X)", "`touch X`", ";touch X;", "a'b\"c\\d", "\x1b[2J\x1b]0;x\a", "two\nlines", "\xff\xfe\xfd", "\u202egnp", "                ", "-o rw"}

// TestHostileNames: names and labels reach nobody unescaped: no shell, no log,
// no status.json, no terminal.
func TestHostileNames(t *testing.T) {
	b := newBench(t)
	b.withRAUC()
	b.start()
	for i, label := range hostileLabels {
		device := b.plug(b.stick(label, nil, func(root string) {
			for j, name := range hostileNames {
				if j%len(hostileLabels) == i || i == 0 {
					b.must(os.WriteFile(filepath.Join(root, name), []byte("x"), 0o644))
				}
			}
		}))
		s := b.done(device)
		if result, _ := step(s, "autorun"); result != "" {
			t.Errorf("%q: a file of another name was taken for the script: %+v", label, s.Steps)
		}
		if result, _ := step(s, "keyring"); result != "" {
			t.Errorf("%q: a file of another name was taken for the keyring: %+v", label, s.Steps)
		}
		if filepath.Dir(s.Mountpoint) != filepath.Join(b.dir, "media") {
			t.Errorf("%q: mounted on %s", label, s.Mountpoint)
		}
		for _, x := range s.Steps {
			if x.Step == "image" && (x.Result != "refused" || strings.Contains(x.File, "hidden") || strings.Contains(x.File, "trail")) {
				t.Errorf("%q: %+v", label, x)
			}
		}
		b.terminals(t, s.Mountpoint)
		b.pull(device)
	}
	if !strings.Contains(b.logText(), `\x1b[2J`) || !strings.Contains(b.logText(), `\u202e`) {
		t.Error("the log does not show the names at all")
	}
	for _, place := range []string{".", "/", b.dir} {
		if _, err := os.Stat(filepath.Join(place, "X")); err == nil {
			t.Errorf("a name was executed: X in %s", place)
		}
	}
}

// terminals fails the test where something that the agent shows is not plain text.
func (b *bench) terminals(t *testing.T, mountpoint string) {
	t.Helper()
	program, _ := usbagent()
	state, keyring := "--path="+b.dir+"/run/status.json", "--keyring="+b.keyringPath()
	shown := map[string]string{"the log": b.logText(), "status.json": read(t, b.dir+"/run/status.json")}
	for _, args := range [][]string{
		{"status", state}, {"status", state, "--json"}, {"check", keyring, mountpoint}, {"check", keyring, "--json", mountpoint},
	} {
		cmd := exec.Command(program, args...)
		cmd.Dir = b.dir
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
			t.Fatalf("usbagent %v: %v: %s", args, err, out)
		}
		shown["usbagent "+strings.Join(args, " ")] = string(out)
	}
	for where, text := range shown {
		if text == "" {
			t.Errorf("%s is empty", where)
		}
		for line := range strings.Lines(text) {
			if bad := unprintable(strings.TrimSuffix(line, "\n")); bad != "" {
				t.Errorf("%s has %s in %q", where, bad, line)
			}
		}
		for line := range strings.Lines(shown["the log"]) {
			if strings.HasPrefix(line, "lines") {
				t.Errorf("a name made a line of its own in %s: %q", where, line)
			}
		}
	}
}

// unprintable names what must not reach a terminal.
func unprintable(text string) string {
	if !utf8.ValidString(text) {
		return "bytes that are not UTF-8"
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fmt.Sprintf("%U", r)
		}
	}
	return ""
}

// TestTextOfOthers: what a hook of a bundle writes is quoted, not shown.
func TestTextOfOthers(t *testing.T) {
	b := newBench(t)
	rauc := b.withRAUC()
	b.start()
	hook := "#!/bin/sh\nprintf 'back\\\\slash \\033[2J \\302\\23331m \\342\\200\\256 \\r' >&2\nexit 10\n"
	image, _ := b.bundle(rauc, "2", raucbench.Bundle{PKI: vendor, Hook: hook})
	s, device := b.run("HOOK", files{"firmware.image": image})
	b.expect(s, "image", "failed", `back\slash \x1b[2J \u009b31m \u202e`)
	b.terminals(t, s.Mountpoint)
	b.pull(device)
}

// TestManyEntries: a directory with 100,000 names, and one with 10,000 images
// beside them, cost bounded time and memory; the images are refused clearly.
func TestManyEntries(t *testing.T) {
	b := newBench(t)
	b.withRAUC()
	b.start()
	s, device := b.run("WARM", b.scriptFiles("echo warm"))
	b.pull(device)
	before := b.memory()
	f := b.scriptFiles("echo ran >>" + b.dir + "/out")
	for name, content := range f {
		f[name] = content
	}
	few, many := b.crowd(f, 100_000, 0), b.crowd(nil, 90_000, 10_000)
	for image, check := range map[string]func(){
		few: func() {
			b.expect(s, "autorun", "done", "exit status 0")
			if b.out() != "ran\n" {
				t.Errorf("the script wrote %q", b.out())
			}
		},
		many: func() {
			b.expect(s, "image", "refused", "more than 100 images; none of them is installed")
			if s.Code != 6 {
				t.Errorf("code %d, want 6", s.Code)
			}
		},
	} {
		begun := time.Now()
		device := b.plug(image)
		s = b.done(device)
		check()
		took, grown := time.Since(begun), b.memory()-before
		t.Logf("%v, %d KiB more memory at the peak", took, grown>>10)
		if took > 30*time.Second || grown > 64<<20 {
			t.Errorf("took %v and %d KiB", took, grown>>10)
		}
		b.pull(device)
	}
}

// memory is the most memory that the daemon ever used, in bytes.
func (b *bench) memory() int64 { return b.proc("VmHWM") << 10 }

// proc is a number of the daemon's /proc/PID/status.
func (b *bench) proc(field string) (n int64) {
	for line := range strings.Lines(read(b.t, fmt.Sprintf("/proc/%d/status", b.daemon.Process.Pid))) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			fmt.Sscan(rest, &n)
			return n
		}
	}
	b.t.Fatalf("no %s", field)
	return 0
}

// crowd is a stick with many names. The kernel makes it, by hard links.
func (b *bench) crowd(f files, names, images int) string {
	b.t.Helper()
	image := filepath.Join(b.dir, "sticks", fmt.Sprintf("crowd-%d-%d.img", names, images))
	disk.MakeExt4(b.t, image, 64<<20)
	dir := disk.Mount(b.t, image)
	for name, content := range f {
		b.must(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	link := func(i int, name string) {
		target := filepath.Join(dir, fmt.Sprintf("target-%d", i/30_000))
		if i%30_000 == 0 {
			b.must(os.WriteFile(target, []byte("x"), 0o644))
		}
		b.must(os.Link(target, filepath.Join(dir, name)))
	}
	for i := range names {
		link(i, fmt.Sprintf("a-name-among-many-%06d", i))
	}
	for i := range images {
		link(names+i, fmt.Sprintf("%06d.image", i))
	}
	b.must(unix.Unmount(dir, 0))
	return image
}

// TestStolenSignature: what was signed as a keyring is no script under its name.
func TestStolenSignature(t *testing.T) {
	b := newBench(t)
	b.start()
	text, err := exec.Command("openssl", "x509", "-text", "-in", customer.Keyring).Output()
	b.must(err)
	for name, keyring := range map[string]string{
		"bare": read(t, customer.Keyring), "below comments": "# Customer\n\n" + read(t, customer.Keyring), "below openssl's text": string(text),
		"below its subject": "subject=CN = x; touch " + b.dir + "/out\n" + read(t, customer.Keyring),
	} {
		s, device := b.run("STOLEN", files{"autorun.sh": keyring}.sign(b, "autorun.sh", vendor))
		b.expect(s, "autorun", "refused", "it is no script but")
		if s.Code != 4 || b.exists("out") {
			t.Errorf("%s: code %d; run: %v", name, s.Code, b.exists("out"))
		}
		b.pull(device)
	}
}
