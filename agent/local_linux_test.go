// SPDX-License-Identifier: GPL-3.0-or-later

package agent_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"usbagent/test/disk"
	"usbagent/test/raucbench"
)

// nobody is a local user without any right of his own.
const nobody = 65534

// asNobody runs a shell line as that user and returns what it wrote.
func asNobody(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("as nobody: %s: %v", line, err)
	}
	return string(out)
}

// public may be read by everybody: the status, the list of MD5 sums, the
// keyring and what is kept beside it, and what lies on the stick.
var public = regexp.MustCompile(`^/(run/status\.json|cache/executed\.list|etc/rauc/[a-z.]*\.(pem|factory|previous)|media/.*|run/[a-z]*\.ready)$`)

// TestLocalUsers: while a script runs and an image is staged, a local user can
// write nothing of the agent's, and read only what is public, even where the
// agent was started with a careless umask. He can keep nothing from going on.
func TestLocalUsers(t *testing.T) {
	b := newBench(t)
	b.must(os.Chmod(b.dir, 0o755))
	rauc := b.withRAUC()
	old := unix.Umask(0)
	b.start()
	unix.Umask(old)
	wait, waiting, open := b.gate()
	f := b.keyringFiles()
	f["autorun.sh"] = "#!/bin/sh\n" + strings.Join(wait, "\n") + "\n"
	f.sign(b, "autorun.sh", customer)
	f["firmware.image"], _ = b.bundle(rauc, "2", raucbench.Bundle{PKI: customer, Hook: "#!/bin/sh\ntouch " + b.dir + "/hook.waiting\nsleep 2\nexit 10\n"})
	device := b.plug(b.stick("LOCAL", f))
	b.wait("the script to run", waiting)
	b.untouchable(t, "while the script runs")

	// His working directory on the mount, an open file there, and his lock on
	// what he may read do not hold up anything.
	holder := exec.Command("/bin/sh", "-c", `cd "$1" && exec 9<firmware.image 8<"$2" && flock -x 8 && echo held && exec sleep 1000`,
		"sh", filepath.Join(b.dir, "media/LOCAL"), filepath.Join(b.dir, "cache/executed.list"))
	holder.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := holder.StdoutPipe()
	b.must(err)
	b.must(holder.Start())
	defer func() { holder.Process.Kill(); holder.Wait() }()
	if n, err := out.Read(make([]byte, 10)); n == 0 {
		t.Fatalf("the local user could not hold the mount: %v", err)
	}
	open()
	b.wait("the hook to run", func() bool { return b.exists("hook.waiting") })
	b.untouchable(t, "while an image is installed")
	s := b.done(device)
	b.expect(s, "keyring", "done", "")
	b.expect(s, "autorun", "done", "exit status 0")
	begun := time.Now()
	b.pull(device)
	b.wait("the mount point to be gone", func() bool { return !b.exists("media/LOCAL") })
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the pull took %v", took)
	}
	begun = time.Now()
	s, device = b.run("NEXT", files{"autorun.sh": "#!/bin/sh\necho next >>" + b.dir + "/out\n"}.sign(b, "autorun.sh", customer))
	if result, reason := step(s, "autorun"); result != "done" && !strings.Contains(reason, "lock") {
		t.Errorf("with the list locked by a local user: %s: %s", result, reason)
	}
	t.Logf("with the list locked by a local user, after %v: %+v", time.Since(begun), s.Steps)
	b.pull(device)
	b.untouchable(t, "afterwards")
}

// untouchable fails the test where a local user can write something of the
// agent's, or read what is not public.
func (b *bench) untouchable(t *testing.T, when string) {
	t.Helper()
	var dirs []string
	for _, d := range []string{"run", "state", "cache", "media", "etc"} {
		dirs = append(dirs, filepath.Join(b.dir, d))
	}
	places := strings.Join(dirs, " ")
	seen := asNobody(t, "find "+places+" 2>/dev/null")
	if strings.Count(seen, "\n") < 8 {
		t.Fatalf("%s: the local user sees only %q", when, seen)
	}
	if can := asNobody(t, "find "+places+" ! -type l -writable 2>/dev/null"); can != "" {
		t.Errorf("%s a local user can write:\n%s", when, can)
	}
	readable := asNobody(t, "find "+places+" ! -type l ! -type d -readable 2>/dev/null")
	for path := range strings.Lines(readable) {
		if path = strings.TrimPrefix(strings.TrimSpace(path), b.dir); !public.MatchString(path) {
			t.Errorf("%s a local user can read %s", when, path)
		}
	}
	if !strings.Contains(readable, "status.json") {
		t.Errorf("%s status.json cannot be read", when)
	}
	sockets := asNobody(t, "find "+places+" -type s 2>/dev/null")
	if sockets != "" {
		t.Errorf("%s a local user can reach the sockets %s", when, sockets)
	}
}

// TestPlacesOfOthers: a directory that a local user could change is refused for
// each thing that matters, and nothing is written through what he planted.
func TestPlacesOfOthers(t *testing.T) {
	theirs := func(b *bench) string {
		dir := filepath.Join(b.dir, "theirs")
		b.must(os.Mkdir(dir, 0o755))
		b.must(os.Chown(dir, nobody, nobody))
		return dir
	}
	t.Run("list", func(t *testing.T) {
		b := newBench(t)
		b.config["autorun.executed_list"] = quote(theirs(b) + "/executed.list")
		b.start()
		s, device := b.run("LIST", b.scriptFiles("echo ran >>"+b.dir+"/out"))
		b.expect(s, "autorun", "refused", "others could change")
		if b.out() != "" {
			t.Errorf("the script ran: %s", b.out())
		}
		b.pull(device)
	})
	t.Run("keyring", func(t *testing.T) {
		b := newBench(t)
		dir := theirs(b)
		b.must(copyFile(vendor.Keyring, dir+"/keyring.pem"))
		b.config["keyring.path"] = quote(dir + "/keyring.pem")
		b.start()
		f := b.keyringFiles()
		for name, content := range b.scriptFiles("echo ran >>" + b.dir + "/out") {
			f[name] = content
		}
		s, device := b.run("KEYRING", f)
		b.expect(s, "keyring", "refused", "others could change")
		b.expect(s, "autorun", "refused", "others could change")
		if b.out() != "" || read(t, dir+"/keyring.pem") != read(t, vendor.Keyring) {
			t.Errorf("the script ran: %s", b.out())
		}
		b.pull(device)
	})
	t.Run("state and staging", func(t *testing.T) {
		b := newBench(t)
		rauc := b.withRAUC()
		b.config["state.dir"] = quote(theirs(b) + "/state")
		b.start()
		image, _ := b.bundle(rauc, "2", raucbench.Bundle{PKI: vendor})
		s, device := b.run("STATE", files{"firmware.image": image})
		b.expect(s, "image", "failed", "others could change")
		if !strings.Contains(b.logText(), "state directory cannot be used") || b.reboots() != 0 {
			t.Errorf("%d reboots; the log does not tell of the directory", b.reboots())
		}
		b.pull(device)
		filepath.WalkDir(filepath.Join(b.dir, "theirs"), func(path string, d os.DirEntry, _ error) error {
			if !d.IsDir() {
				t.Errorf("written into somebody else's directory: %s", path)
			}
			return nil
		})
	})
	t.Run("status", func(t *testing.T) {
		b := newBench(t)
		dir, victim := theirs(b), filepath.Join(b.dir, "victim")
		b.must(os.WriteFile(victim, []byte("precious"), 0o600))
		for _, name := range []string{".status.json.new", "status.json"} {
			b.must(os.Symlink(victim, filepath.Join(dir, name)))
		}
		b.config["status.path"] = quote(dir + "/status.json")
		b.must(os.MkdirAll(b.dir+"/run", 0o755))
		b.must(os.Symlink("../theirs/status.json", b.dir+"/run/status.json")) // where the bench looks
		b.start()
		_, device := b.run("STATUS", files{})
		b.pull(device)
		if info, err := os.Lstat(dir + "/status.json"); err != nil || !info.Mode().IsRegular() || read(t, victim) != "precious" {
			t.Errorf("status.json is %v (%v), the file behind the planted link has %q", info, err, read(t, victim))
		}
	})
	t.Run("mount point", func(t *testing.T) {
		b := newBench(t)
		media := filepath.Join(b.dir, "media")
		b.must(os.Mkdir(media, 0o755))
		b.must(os.Symlink(b.dir+"/etc", media+"/LINK"))
		b.must(os.Mkdir(media+"/FULL", 0o755))
		b.must(os.WriteFile(media+"/FULL/theirs", nil, 0o644))
		b.must(os.Chown(media+"/FULL", nobody, nobody))
		b.must(os.Mkdir(media+"/EMPTY", 0o777))
		b.must(os.Chown(media+"/EMPTY", nobody, nobody))
		b.start()
		for _, label := range []string{"LINK", "FULL", "EMPTY"} {
			s, device := b.run(label, files{"readme": ""})
			if s.Code != 0 || filepath.Dir(s.Mountpoint) != media || label != "EMPTY" && s.Mountpoint == media+"/"+label {
				t.Errorf("%s: mounted on %q, code %d", label, s.Mountpoint, s.Code)
			}
			b.pull(device)
		}
		if !b.exists("media/FULL/theirs") || !b.exists("etc/rauc/vendor.pem") {
			t.Error("what was there before is gone")
		}
	})
}

// TestListThatCannotBeWritten: a script that cannot be noted as executed is
// not executed.
func TestListThatCannotBeWritten(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"full":      func(t *testing.T, dir string) { disk.Fill(t, dir) },
		"read-only": func(t *testing.T, dir string) { disk.ReadOnly(t, dir) },
		"immutable": func(t *testing.T, dir string) { disk.Immutable(t, filepath.Join(dir, "cache")) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			dir := disk.Ext4(t, 4<<20)
			b.must(os.Mkdir(filepath.Join(dir, "cache"), 0o755))
			spoil(t, dir)
			b.config["autorun.executed_list"] = quote(filepath.Join(dir, "cache/executed.list"))
			b.start()
			s, device := b.run("LIST", b.scriptFiles("echo ran >>"+b.dir+"/out"))
			b.expect(s, "autorun", "refused", "not run, since it could not be noted as executed")
			if s.Code != 4 || b.out() != "" {
				t.Errorf("code %d, the script wrote %q", s.Code, b.out())
			}
			b.pull(device)
		})
	}
}
